"""Images that show a quantiser which numbers to expect."""

from pathlib import Path

import cv2
import numpy as np

from offload_perception.errors import ModelError

SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp'}
COUNT = 64


def default_images(shape: tuple[int, int, int], count: int = COUNT) -> np.ndarray:
    """Return generated images, uint8 `(count, H, W, 3)`: half terrain tiles, half textures."""
    from offload_perception.terrain.tiles import tiles

    height, width, _ = shape
    terrain, _ = tiles('train', count // 2, seed=1, size=max(height, width))
    rng = np.random.default_rng(1)
    textures = np.stack([_texture(rng, height, width) for _ in range(count - count // 2)])
    return np.concatenate([terrain[:, :height, :width], textures])


def folder_images(folder: str | Path, shape: tuple[int, int, int], count: int = 200) -> np.ndarray:
    """Return up to `count` images found below `folder`, resized, uint8 RGB `(N, H, W, 3)`.

    :raises ModelError: where the folder holds no image that can be read.
    """
    files = sorted(p for p in Path(folder).rglob('*') if p.suffix.lower() in SUFFIXES)
    step = max(1, len(files) // count)
    images = [read_image(path, shape) for path in files[::step][:count]]
    if not images:
        raise ModelError(f'{folder} holds no representative images '
                         f'({", ".join(sorted(SUFFIXES))}); name a folder that does')
    return np.stack(images)


def read_image(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the picture in `path`, uint8 RGB, resized to `shape` `(H, W, 3)`.

    :raises ModelError: where the file is no picture.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ModelError(f'{path} cannot be read as a picture; remove or replace it')
    small = cv2.resize(picture, shape[1::-1], interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return noise of several grain sizes with a random tint and contrast."""
    total = np.zeros((height, width, 3), np.float32)
    for grain in (2, 4, 16, 64):
        noise = rng.normal(size=(height // grain + 2, width // grain + 2, 3))
        total += cv2.resize(noise.astype(np.float32), (width, height)) * rng.uniform(0, 40)
    return np.clip(total + rng.uniform(40, 215, 3).astype(np.float32), 0, 255).astype(np.uint8)
