"""Calibration of the lossy codecs for each cut of a model, learned once from images.

`calibration.npz` lies beside the model and names its digest; it holds for that model alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.codec import learn_latent
from offload_perception.codec.adaptive import zero_of
from offload_perception.codec.api import setting_of_each
from offload_perception.codec.features import above_lowest, is_feature_map
from offload_perception.codec.latent import LatentTables
from offload_perception.codec.learn_transform import block_side, fit
from offload_perception.codec.lossy import BITS, is_rectified, levels_for
from offload_perception.codec.registry import Learned, parse
from offload_perception.codec.transform import Basis, blocks
from offload_perception.errors import ConfigError, IncomingError, ModelError
from offload_perception.incoming import identifier, number
from offload_perception.network.artefact import BOTTLENECK, Artefact
from offload_perception.network.runnable import Network
from offload_perception.npz import read_npz
from offload_perception.sealed import check_seal, sealed
from offload_perception.tensor import Tensors

FILE = 'calibration.npz'
_BLOCKS = 20_000  # kept of each cut, to learn its transform from


@dataclass(frozen=True)
class Calibration:
    """What the lossy codecs know of one model.

    `clips[cut name][bits]` are in steps from zero, 1 to 255; `bases` has the transforms of cuts
    after pooling layers, `latents` the tables of learned bottlenecks. `images` is the number of
    images that it was learned from.
    """

    digest: str
    images: int
    clips: dict[str, dict[int, int]]
    bases: dict[str, Basis] = field(default_factory=dict)
    latents: dict[str, LatentTables] = field(default_factory=dict)

    def learned(self, cut: str) -> Learned | None:
        """Return what was learned for a cut by its name, None if nothing was."""
        return self.bases.get(cut) or self.latents.get(cut)

    def setting(self, cut: str, codec: str) -> str:
        """Return `codec` with the clip for `cut`, if it is a lossy one that names none."""
        base, *numbers = codec.split(':')
        if base != 'lossy' or len(numbers) != 1 or not numbers[0].isdecimal():
            return codec
        clip = self.clips.get(cut, {}).get(int(numbers[0]))
        return codec if clip is None else f'{codec}:{clip}'

    def save(self, folder: str | Path) -> None:
        """Write the file into the folder of the model."""
        arrays: dict[str, Any] = {}
        for cut, learned in (self.bases | self.latents).items():
            for each in fields(learned):
                value = np.asarray(getattr(learned, each.name))
                arrays[f'{cut}.{each.name}'] = (
                    value.astype(np.float16) if value.dtype == np.float32 else value)
        about = sealed({'digest': self.digest, 'images': self.images, 'clips': self.clips,
                        'bases': list(self.bases), 'latents': list(self.latents),
                        'arrays': _digest_of(arrays)})
        np.savez_compressed(Path(folder) / FILE, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def load(cls, artefact: Artefact) -> 'Calibration':
        """Read what lies beside the model.

        :raises ModelError: if there is none, or it belongs to another model.
        """
        return cls.of_folder(artefact.path, artefact.digest)

    @classmethod
    def of_folder(cls, folder: Path, digest: str) -> 'Calibration':
        """Read the file in a model's folder; `digest` is the model's. Raises as `load`."""
        path = folder / FILE
        try:
            arrays = read_npz(path)
            d = json.loads(str(arrays.pop('about')))
            check_seal(d)
            if d.get('arrays', written := _digest_of(arrays)) != written:
                raise IncomingError('its arrays are not those that were written')
            clips = {cut: dict(map(_clip, by_bits.items())) for cut, by_bits in d['clips'].items()}
            bases = {cut: _basis(_arrays(arrays, cut, Basis)) for cut in d['bases']}
            latents = {cut: LatentTables(**_arrays(arrays, cut, LatentTables))
                       for cut in d.get('latents', ())}
            found = cls(identifier('digest', d['digest']), d['images'], clips, bases, latents)
        except Exception as e:  # readers of ZIP and of arrays may raise anything on invalid input
            raise ModelError(f'{path} is no calibration of the lossy codecs ({e}); '
                             'calibrate the model again: measure_codecs') from e
        if found.digest != digest:
            raise ModelError(f'{path} belongs to another model (digest {found.digest[:12]}, '
                             f'this is {digest[:12]}); calibrate the model again: '
                             'measure_codecs')
        return found


def learned_for(artefact: Artefact, cut: int) -> Learned | None:
    """Return what was learned for a cut, read once; None if nothing was for this model."""
    calibration = _loaded(artefact.path, artefact.digest)
    return calibration.learned(artefact.cut_names[cut]) if calibration else None


@lru_cache(8)
def _loaded(folder: Path, digest: str) -> Calibration | None:
    try:
        return Calibration.of_folder(folder, digest)
    except ModelError:
        return None  # `check` refuses codec `transform` then


def check(codec: str, artefact: Artefact, cut: int) -> None:
    """Refuse a codec that cannot be used at a cut of a model; raises ConfigError."""
    specs = artefact.tensors(cut)
    needed = parse(setting_of_each(codec, specs)[0], specs[0]).codec.learned
    if needed is not None and not isinstance(learned_for(artefact, cut), needed):
        raise ConfigError(f"codec '{codec}': {artefact.name} is not calibrated for it at "
                          f'{artefact.cut_names[cut]}; measure_codecs calibrates transform for '
                          'the cuts after pooling layers, and latent for a learned bottleneck')


def _digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 (hex) of arrays with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f'{name} {array.dtype.str} {array.shape}\n'.encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _clip(entry: tuple[str, float]) -> tuple[int, int]:
    """Return the bits and the clip of an entry; raises ValueError, IncomingError."""
    bits, clip = entry
    return int(number('bits', int(bits), BITS[0], BITS[-1])), int(number('clip', clip, 1, 255))


def _arrays(file: Mapping[str, np.ndarray], cut: str, kind: type[Learned]) -> dict[str, Any]:
    return {each.name: file[f'{cut}.{each.name}'] for each in fields(kind)}


def _basis(values: dict[str, np.ndarray]) -> Basis:
    return Basis(int(values.pop('side')), **{
        name: value.astype(np.float32) if value.dtype == np.float16 else value
        for name, value in values.items()})


def pooled(artefact: Artefact) -> list[int]:
    """Return the cuts that get a transform: those after pooling layers."""
    return [k for k, layer in enumerate(artefact.layers, 1)
            if layer.kind == 'pool' and is_calibrated(artefact, k)
            and is_rectified(artefact.tensors(k)[0]) and artefact.tensors(k)[0].shape[0] > 1]


def is_calibrated(artefact: Artefact, cut: int) -> bool:
    """Return whether the lossy codecs are calibrated for a cut: for one tensor that they take."""
    specs = artefact.tensors(cut)
    return len(specs) == 1 and is_feature_map(specs[0])


def calibrate(network: Network, images: Sequence[np.ndarray] | np.ndarray,
              metrics: Mapping[int, np.ndarray] | None = None) -> Calibration:
    """Return clips and transforms of least error, and tables, for `images`, uint8.

    :param metrics: what an error in a block counts at each cut, see `sensitivity.metrics`;
        without it all elements count alike.
    """
    artefact = network.artefact
    cuts = [k for k in range(1, artefact.last) if is_calibrated(artefact, k)]
    counts = {k: np.zeros(256, np.int64) for k in cuts}
    sides = {k: block_side(artefact.tensors(k)[0].shape) for k in pooled(artefact)}
    samples: dict[int, list[np.ndarray]] = {k: [] for k in sides}
    latents: list[np.ndarray] = []
    rng = np.random.default_rng(0)
    for image in images:
        xs: Tensors = (image,)
        for k in range(1, max(cuts, default=0) + 1):
            xs = network.run(k, k, xs)
            x = xs[0]
            if k in counts:
                counts[k] += np.bincount(above_lowest(x).reshape(-1), minlength=256)
            if k == artefact.bottleneck:
                latents.append(x.copy())
            if k in samples:
                rows = blocks(above_lowest(x), sides[k])
                samples[k].append(rng.permutation(rows)[:max(_BLOCKS // len(images), 1)])
    clips = {artefact.cut_names[k]: {
        bits: best_clip(counts[k], bits, zero_of(artefact.tensors(k)[0])) for bits in BITS}
        for k in cuts}
    bases = {artefact.cut_names[k]: fit(np.concatenate(rows), sides[k], (metrics or {}).get(k))
             for k, rows in samples.items()}
    tables = {}
    if artefact.bottleneck is not None:
        spec, = artefact.tensors(artefact.bottleneck)
        tables[BOTTLENECK] = learn_latent.fit(np.stack(latents), spec)
    return Calibration(artefact.digest, len(images), clips, bases, tables)


def best_clip(counts: np.ndarray, bits: int, zero: int = 0) -> int:
    """Return the clip of least mean square error at `bits`.

    :param counts: how often each step above the lowest was seen, (256,); `zero` stands for zero.
    """
    def squared_error(clip: int) -> int:
        levels = levels_for(zero, bits, clip)
        error = levels.steps[levels.of_steps].astype(np.int64) - np.arange(256)
        return int(counts @ (error * error))

    return min(range(1, 256), key=squared_error)
