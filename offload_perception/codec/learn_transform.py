"""Learn the transform of `transform` for one cut, from its activations on calibration images.

A Karhunen-Loeve transform in the metric M = (1 - e) G + e I, where G is the mean outer product of
the gradients of the class margins (see `sensitivity`): with M = L L', components of L'x
that are uncorrelated. Equal steps for them spend bits where the class depends on them. The share e
covers what gradients miss in a network that is not linear.
"""

import numpy as np

from offload_perception.codec.transform import (
    NEVER,
    SHARES,
    SIZES,
    STEPS,
    Basis,
    digits,
    levels_of,
    restored,
    to_steps,
)

IDENTITY_SHARE, MAX_ELEMENTS, ROUNDS = 0.05, 256, 4


def block_side(shape: tuple[int, ...]) -> int:
    """Return the side of the blocks: a power of two, for few enough elements in a block."""
    height, width, channels = shape
    side = 1
    while (not height % (2 * side) and not width % (2 * side)
           and (2 * side) ** 2 * channels <= MAX_ELEMENTS):
        side *= 2
    return side


def fit(samples: np.ndarray, side: int, metric: np.ndarray | None = None) -> Basis:
    """Return the basis for `samples`, blocks of `side`.

    :param samples: in steps above zero, float32 (n, d).
    :param metric: G, (d, d); without it all elements count alike.
    """
    d = samples.shape[1]
    mixed = np.eye(d)
    if metric is not None and np.trace(metric) > 0:
        mixed = (1 - IDENTITY_SHARE) * metric * (d / np.trace(metric)) + IDENTITY_SHARE * mixed
    values, vectors = np.linalg.eigh(mixed)
    root = vectors * np.sqrt(values)
    mean = samples.mean(0)
    _, turn = np.linalg.eigh(np.atleast_2d(np.cov(((samples - mean) @ root).T)))
    forward = root @ turn[:, ::-1]
    inverse = forward.T @ np.linalg.inv(mixed)  # forward @ forward.T is the metric
    mean, forward, inverse = (_half(a) for a in (mean, forward, inverse))
    levels = levels_of((samples - mean) @ forward, STEPS[0])
    used = levels.any(0)
    forward, inverse = forward[:, used], inverse[used]
    components = (samples - mean) @ forward
    offsets, rows = zip(*(_for_step(samples, mean, components, inverse, step) for step in STEPS),
                        strict=True)
    return Basis(side, mean, forward, inverse, np.stack(offsets), np.stack(rows))


def _for_step(samples: np.ndarray, mean: np.ndarray, components: np.ndarray, inverse: np.ndarray,
              step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the decoder's mean and the row of each digit."""
    levels = levels_of(components, step)
    decoded = restored(levels, step) @ inverse
    offset = mean.copy()
    for _ in range(ROUNDS):  # clipping at zero lifts the mean, and a network feels that
        offset += (samples - to_steps(decoded + offset)).mean(0)
    return _half(offset), _rows(digits(levels, np.ones(levels.shape[1], bool)))


def _rows(levels: np.ndarray) -> np.ndarray:
    """Return the table of the fewest bits for each column of `levels`."""
    n, others = len(levels), (levels != 0).sum(0)[:, None]
    beyond = np.abs(levels.astype(np.int64)).sum(0)[:, None] - others
    odds, sizes = (a.reshape(-1) for a in np.meshgrid(SHARES, SIZES, indexing='ij'))
    share = odds / (1 + odds)
    bits = -((n - others) * np.log2(1 - share) + others * np.log2(share / sizes)
             + beyond * np.log2(1 - 1 / sizes))
    return np.where(others[:, 0] > 0, bits.argmin(1), NEVER).astype(np.uint8)


def _half(a: np.ndarray) -> np.ndarray:
    """Return `a` as float32 that loses nothing when it is stored as float16."""
    return a.astype(np.float16).astype(np.float32)
