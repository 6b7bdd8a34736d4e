"""What light, air and a camera do to the ground they see."""

import cv2
import numpy as np


def expose(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `rgb` (uint8) as a camera may see it, drawn from `rng`.

    In the order of nature: cloud shadow, light and its colour, haze, blur of lens and motion,
    sensor noise.
    """
    image = rgb.astype(np.float32)
    if rng.random() < 0.3:
        image *= cloud_shadow(image.shape[:2], rng)[..., None]
    image = light(image, rng)
    image = haze(image, rng)
    image = blur(image, rng)
    image += rng.normal(0, rng.uniform(0, 7), image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def cloud_shadow(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a factor (height, width): 1 in the sun, down to 0.5 below a cloud."""
    coarse = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
    cover = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return 1 - rng.uniform(0.2, 0.5) * np.clip(3 * cover, 0, 1)


def light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `image` under another exposure, white balance, contrast and saturation."""
    gain = rng.uniform(0.65, 1.3) * (1 + rng.normal(0, 0.05, 3))
    grey = image.mean(2, keepdims=True)
    image = grey + (image - grey) * np.float32(rng.uniform(0.6, 1.3))
    mean = image.mean()
    image = ((image - mean) * rng.uniform(0.75, 1.2) + mean) * gain.astype(np.float32)
    return image


def haze(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `image` seen through air that scatters a bluish white."""
    density = np.float32(max(0.0, rng.uniform(-0.2, 0.4)))
    image = image + density * (np.array((190, 200, 212), np.float32) - image)
    return image


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `image` sharp, out of focus or smeared by motion."""
    kind = rng.random()
    if kind < 0.4:
        return image
    if kind < 0.75:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2))
    return cv2.filter2D(image, -1, _streak(rng.uniform(1, 4), rng.uniform(0, np.pi)))


def _streak(length: float, angle: float) -> np.ndarray:
    kernel = np.zeros((7, 7), np.float32)
    step = np.array((np.cos(angle), np.sin(angle))) * length / 2
    start, end = np.round((3 - step) * 16).astype(int), np.round((3 + step) * 16).astype(int)
    cv2.line(kernel, tuple(map(int, start)), tuple(map(int, end)), 1.0, 1, cv2.LINE_8, 4)
    streak: np.ndarray = kernel / kernel.sum()
    return streak
