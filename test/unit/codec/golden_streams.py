"""Tensors that every machine makes alike, for the streams in golden.json.

A stream is what drones and servers of different versions send each other: those in the file were
written once. `python test/unit/codec/golden_streams.py` adds the cases that are not in it. Remove
the file first, so that all are written anew, only with a new version of the container.
"""

import base64
import json
from collections.abc import Iterator
from hashlib import sha256, shake_128
from pathlib import Path
from typing import NamedTuple

import numpy as np

from offload_perception.codec import Decoded, decode, encode
from offload_perception.codec.latent import STEPS as LATENT_STEPS
from offload_perception.codec.latent import LatentTables
from offload_perception.codec.registry import Learned
from offload_perception.codec.transform import NEVER, STEPS, Basis
from offload_perception.tensor import TensorSpec

FILE = Path(__file__).with_name('golden.json')
FOREIGN = ('zstd', 'jpeg', 'webp')
"""Their bytes are a library's, and may differ from version to version: only decoding is fixed."""


class Case(NamedTuple):
    """A tensor like `spec`, and the codec setting that it is encoded with."""

    setting: str
    spec: TensorSpec
    tensor: np.ndarray
    learned: Learned | None = None

    @property
    def name(self) -> str:
        """Return a name for the file."""
        shape = 'x'.join(map(str, self.spec.shape))
        return f'{self.setting} {self.spec.dtype} {shape}'

    def encode(self) -> bytes:
        return bytes(encode(self.tensor, self.spec, self.setting, learned=self.learned))

    def decode(self, stream: bytes | bytearray) -> Decoded:
        return decode(stream, self.spec, learned=self.learned)


def noise(count: int, seed: str) -> np.ndarray:
    """Return bytes that no library's generator can change, uint8 (count,)."""
    return np.frombuffer(shake_128(seed.encode()).digest(count), np.uint8)


def activations(shape: tuple[int, ...], dtype: str = 'int8') -> np.ndarray:
    """Return what a ReLU leaves: mostly zero, channels of different strength."""
    steps = noise(int(np.prod(shape)), f'{shape} {dtype}').reshape(shape).astype(int)
    strength = 1 + np.arange(shape[-1]) % 5
    real = np.maximum(steps - (140 if steps.size < 4096 else 220), 0) * strength // 4
    return (real.clip(0, 255) + np.iinfo(dtype).min).astype(dtype)


def signed(shape: tuple[int, ...]) -> np.ndarray:
    """Return what a linear layer leaves: smooth in space, about 5 in the mean, int8 (H, W, C)."""
    y, x, c = np.indices(shape)
    wave = (y * (c % 5 - 2) * 3 + x * (c % 3 - 1) * 4) % 61 - 30
    return (5 + wave + noise(wave.size, f'signed {shape}').reshape(shape) % 9 - 4).astype(np.int8)


def image() -> np.ndarray:
    """Return a smooth picture, uint8 (16, 24, 3)."""
    y, x = np.mgrid[:16, :24]
    return np.stack([8 * y + 3 * x, 200 - 6 * y, 40 + 8 * x], axis=-1).astype(np.uint8)


def basis(side: int, channels: int) -> Basis:
    """Return a basis of whole numbers, which every machine multiplies alike; all digits in use."""
    d = side * side * channels
    mean = np.arange(d, dtype=np.float32) % 7
    rows = np.tile((np.arange(2 * d) * 7 % 200).astype(np.uint8), (len(STEPS), 1))
    rows[:, d + d // 2:] = NEVER  # half of the components have no high digit
    return Basis(side, mean, np.eye(d, dtype=np.float32) * 16, np.eye(d, dtype=np.float32) / 16,
                 np.tile(mean, (len(STEPS), 1)), rows)


def latent_tables(channels: int) -> LatentTables:
    """Return tables of whole numbers; every row of the first 8 is used."""
    eighths = np.arange(256, dtype=np.uint8) // 32
    centre = 8 * np.arange(8)[:, None] - abs(np.arange(256) - 16)
    rare = np.maximum(centre + 200, 1).astype(np.uint16)
    weights = np.array([[100 + c, 90 - c] for c in range(channels)], np.int32)
    return LatentTables(weights, np.tile(eighths, (len(LATENT_STEPS), channels, 1)),
                        np.tile(rare, (len(LATENT_STEPS), 1, 1)))


def features(shape: tuple[int, ...], setting: str, dtype: str = 'int8',
             basis: Basis | None = None) -> Case:
    spec = TensorSpec(shape, dtype, 0.125, int(np.iinfo(dtype).min))
    return Case(setting, spec, activations(shape, dtype), basis)


def cases() -> Iterator[Case]:
    """Yield every codec, the entropy coder with every table, one state and eight."""
    reals = noise(24, 'reals').reshape(2, 3, 4).astype(np.float32) / 3
    yield Case('raw', TensorSpec(reals.shape, 'float32', 1.0, -3), reals)  # below the lowest
    yield Case('raw', TensorSpec((2, 4), 'int8', 0.1, 5), activations((2, 4)))  # a wide scale
    for setting in ('zstd:1', 'rans'):
        yield features((6, 6, 16), setting)
        yield features((6, 6, 16), setting, 'uint8')
    yield features((65,), 'rans')
    yield features((8, 8, 127), 'rans')  # one state: below 8192 elements
    yield features((8, 8, 131), 'rans')  # eight states, the last group of three channels
    yield from (features((6, 6, 16), f'lossy:{bits}:{clip}')
                for bits, clip in zip(range(1, 8), (40, 60, 80, 96, 128, 200, 255), strict=True))
    yield features((8, 8, 128), 'lossy:4:96')  # eight states: from 8192 elements on
    yield features((4, 4, 8), 'transform:8', basis=basis(1, 8))
    yield features((4, 4, 8), 'transform:90', 'uint8', basis=basis(2, 8))
    for shape in ((6, 6, 16), (65,), (8, 8, 131)):
        yield features(shape, 'adaptive')
    for setting in ('adaptive', *(f'lossy:{bits}:25' for bits in range(1, 8))):
        yield Case(setting, TensorSpec((7, 9, 24), 'int8', 0.125, 5), signed((7, 9, 24)))
    yield Case('affine', TensorSpec((7, 9, 24), 'float32'),
               signed((7, 9, 24)).astype(np.float32) / 8)
    for shape in ((7, 9, 24), (32, 32, 11)):  # one state, eight states
        yield from (Case(f'latent:{step}', TensorSpec(shape, 'int8', 0.125, 5), signed(shape),
                         latent_tables(shape[-1])) for step in LATENT_STEPS[:3])
    for setting in ('zstd:1', 'jpeg:90', 'webp:80'):
        yield Case(setting, TensorSpec((16, 24, 3), 'uint8'), image())


def digest(tensor: np.ndarray) -> str:
    return sha256(tensor.tobytes()).hexdigest()[:16]


def entry(case: Case) -> dict[str, str]:
    stream = case.encode()
    return {'stream': base64.b64encode(stream).decode(),
            'decoded': digest(case.decode(stream).array)}


def main() -> None:
    known = json.loads(FILE.read_text()) if FILE.is_file() else {}
    golden = {case.name: known.get(case.name) or entry(case) for case in cases()}
    FILE.write_text(json.dumps(golden, indent=1) + '\n')


if __name__ == '__main__':
    main()
