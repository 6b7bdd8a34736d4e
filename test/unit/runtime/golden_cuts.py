"""What every machine computes alike: the bundled networks at every cut, and fitted pictures.

golden_cuts.json holds a digest of each, made once. `python test/unit/runtime/golden_cuts.py`
writes it anew: do so only with other networks, or another way of fitting.
"""

import json
from collections.abc import Iterator
from hashlib import sha256, shake_128
from pathlib import Path

import cv2
import numpy as np

from offload_perception.imaging.resize import fit
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.golden import golden_image
from offload_perception.runtime.select import resolve
from offload_perception.tensor import Tensors

FILE = Path(__file__).with_name('golden_cuts.json')
MODELS = ('aerial', 'aerial_split')
SIZES = ((64, 64), (112, 112), (224, 224), (96, 160))


def digest(tensors: Tensors) -> str:
    return sha256(b''.join(x.tobytes() for x in tensors)).hexdigest()[:16]


def cuts(model: str, runtime: str = 'litert') -> dict[str, str]:
    """Return a digest of the tensors at every cut, for the golden image."""
    artefact = prepare(model)
    chain = Chain(artefact, resolve('cpu', runtime), merge=False)
    xs: Tensors = (golden_image(artefact.input),)
    found = {}
    for k in range(1, artefact.last + 1):
        xs = chain.run(k, k, xs)
        found[artefact.cut_names[k]] = digest(xs)
    chain.close()
    return found


def picture(height: int, width: int) -> np.ndarray:
    """Return a picture, smooth in some parts and noisy in others, that no library can change."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([y * 3 + x, 5 * x, 2 * y + 7 * x], axis=-1)
    noise = np.frombuffer(shake_128(b'picture').digest(smooth.size), np.uint8)
    return (smooth + noise.reshape(smooth.shape) % (1 + x[..., None] // 3)).astype(np.uint8)


def fitted() -> Iterator[tuple[str, str]]:
    """Yield pictures of usual cameras, fitted to usual networks, by name and digest."""
    for height, width in ((480, 640), (720, 1280), (50, 70)):
        for size in SIZES:
            for how in ('crop', 'letterbox', 'stretch'):
                yield (f'{how} {height}x{width} to {size[0]}x{size[1]}',
                       digest((fit(picture(height, width), *size, how=how),)))


def main() -> None:
    golden = {**{model: cuts(model) for model in MODELS}, 'fitted': dict(fitted())}
    FILE.write_text(json.dumps(golden, indent=1) + '\n')
    print(f'OpenCV {cv2.__version__}')


if __name__ == '__main__':
    main()
