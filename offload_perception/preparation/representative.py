"""Images that show a quantiser which numbers to expect, and labelled ones to measure with."""

import logging
from pathlib import Path

import cv2
import numpy as np

from offload_perception.camera.folder import no_picture, read_picture
from offload_perception.errors import ModelError, SourceError
from offload_perception.imaging.resize import fit
from offload_perception.pictures import DECODERS

COUNT = 64

log = logging.getLogger(__name__)


def default_images(shape: tuple[int, int, int], count: int = COUNT) -> np.ndarray:
    """Return generated images, uint8 `(count, H, W, 3)`: half terrain tiles, half textures."""
    from offload_perception.terrain.tiles import tiles

    height, width, _ = shape
    terrain, _ = tiles('train', count // 2, seed=1, size=max(height, width))
    rng = np.random.default_rng(1)
    textures = np.stack([_texture(rng, height, width) for _ in range(count - count // 2)])
    return np.concatenate([terrain[:, :height, :width], textures])


def folder_images(folder: str | Path, shape: tuple[int, int, int], count: int = 200,
                  how: str = 'crop') -> np.ndarray:
    """Return up to `count` images found below `folder`, uint8 RGB `(N, H, W, 3)`.

    They are a random choice, always the same one, resized as on the drone (`imaging.resize`).

    :raises ModelError: if the folder holds no picture, or one that cannot be read.
    """
    files = some_of(picture_files(folder, '**/*'), count)
    if not files:
        raise ModelError(f'{folder} holds no representative images ({", ".join(DECODERS)}); name '
                         'a folder that does')
    return np.stack([read_image(path, shape, how) for path in files])


def picture_files(folder: str | Path, pattern: str) -> list[Path]:
    """Return the pictures in a folder, recognised by content, sorted; the rest is logged."""
    files = sorted(p for p in Path(folder).glob(pattern) if p.is_file() and p.name[0] != '.')
    reasons = {file: no_picture(file) for file in files}
    left_out = [f'{file.name} ({why})' for file, why in reasons.items() if why]
    if left_out:
        log.warning('%s: %d file(s) left out: %s', folder, len(left_out), ', '.join(left_out[:5]))
    return [file for file in files if not reasons[file]]


def some_of(files: list[Path], count: int | None, seed: int = 0) -> list[Path]:
    """Return at most `count` of the files, shuffled, the same ones for the same seed."""
    return [files[i] for i in np.random.default_rng(seed).permutation(len(files))[:count]]


def read_image(path: Path, shape: tuple[int, ...], how: str = 'crop') -> np.ndarray:
    """Return the picture in `path`, uint8 RGB, fitted to `shape` `(H, W, 3)` as the drone does.

    :raises ModelError: if the file is no picture.
    """
    height, width, _ = shape
    try:
        return fit(read_picture(path), height, width, how=how)
    except SourceError as e:
        raise ModelError(f'{e}; remove or replace it') from e


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return noise of several grain sizes with a random tint and contrast."""
    total = np.zeros((height, width, 3), np.float32)
    for grain in (2, 4, 16, 64):
        noise = rng.normal(size=(height // grain + 2, width // grain + 2, 3))
        total += cv2.resize(noise.astype(np.float32), (width, height)) * rng.uniform(0, 40)
    return np.clip(total + rng.uniform(40, 215, 3).astype(np.float32), 0, 255).astype(np.uint8)
