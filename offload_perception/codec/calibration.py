"""Where the lossy codec clips at each cut of a model, learned once from images.

`calibration.json` lies beside the model and names its digest; it holds for that model alone.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from offload_perception.codec.lossy import BITS, is_rectified, level_of_step, step_of_level
from offload_perception.codec.planes import above_lowest
from offload_perception.errors import ModelError
from offload_perception.model.artefact import Artefact

FILE = 'calibration.json'


class Network(Protocol):
    """A loaded model that runs layer by layer, such as `runtime.chain.Chain`."""

    artefact: Artefact

    def run(self, first: int, last: int, x: np.ndarray) -> np.ndarray:
        """Return the output of layer `last` for `x` in front of layer `first`, from 1."""


@dataclass(frozen=True)
class Calibration:
    """Clips of one model: `clips[cut name][bits]`, in steps above zero, 1 to 255.

    `images` is the number of images that it was learned from.
    """

    digest: str
    images: int
    clips: dict[str, dict[int, int]]

    def setting(self, cut: str, codec: str) -> str:
        """Return `codec` with the clip for `cut`, where it is a lossy one that names none."""
        base, *numbers = codec.split(':')
        if base != 'lossy' or len(numbers) != 1 or not numbers[0].isdecimal():
            return codec
        clip = self.clips.get(cut, {}).get(int(numbers[0]))
        return codec if clip is None else f'{codec}:{clip}'

    def save(self, folder: str | Path) -> None:
        """Write the file into the folder of the model."""
        (Path(folder) / FILE).write_text(json.dumps(asdict(self), indent=1) + '\n')

    @classmethod
    def load(cls, artefact: Artefact) -> 'Calibration':
        """Read what lies beside the model.

        :raises ModelError: where there is none, or it belongs to another model.
        """
        file = artefact.path / FILE
        try:
            d = json.loads(file.read_text())
            clips = {cut: {int(bits): int(clip) for bits, clip in by_bits.items()}
                     for cut, by_bits in d['clips'].items()}
            found = cls(d['digest'], d['images'], clips)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise ModelError(f'{file} is no calibration of the lossy codec ({e}); '
                             'calibrate the model again') from e
        if found.digest != artefact.digest:
            raise ModelError(f'{file} belongs to another model (digest {found.digest[:12]}, '
                             f'this is {artefact.digest[:12]}); calibrate the model again')
        return found


def calibrate(network: Network, images: Sequence[np.ndarray]) -> Calibration:
    """Return the clips of least mean square error for `images`, uint8 of the model's input."""
    artefact = network.artefact
    cuts = [k for k in range(1, artefact.last) if is_rectified(artefact.tensor(k))]
    counts = {k: np.zeros(256, np.int64) for k in cuts}
    for x in images:
        for k in range(1, max(cuts, default=0) + 1):
            x = network.run(k, k, x)
            if k in counts:
                counts[k] += np.bincount(above_lowest(x).reshape(-1), minlength=256)
    clips = {artefact.cut_names[k]: {bits: best_clip(counts[k], bits) for bits in BITS}
             for k in cuts}
    return Calibration(artefact.digest, len(images), clips)


def best_clip(counts: np.ndarray, bits: int) -> int:
    """Return the clip of least mean square error at `bits` for a histogram of steps, (256,)."""
    return min(range(1, 256), key=lambda clip: _squared_error(counts, bits, clip))


def _squared_error(counts: np.ndarray, bits: int, clip: int) -> int:
    error = step_of_level(bits, clip)[level_of_step(bits, clip)].astype(np.int64) - np.arange(256)
    return int(counts @ (error * error))
