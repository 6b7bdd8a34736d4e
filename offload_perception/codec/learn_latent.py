"""Learn the tables of a bottleneck from latents of many images."""

import numpy as np

from offload_perception.codec.adaptive import zero_of
from offload_perception.codec.latent import (
    MOST_ROWS,
    MOST_WEIGHT,
    STEPS,
    LatentTables,
    levels_of,
    rounding_for,
)
from offload_perception.tensor import TensorSpec

_MOST_TABLES = 16  # of one channel
_PRIOR = 4.0  # elements that a table is worth before it has seen any: as its channel has them
_TOTAL = 60_000  # of the frequencies of a table
_UNIT = 256  # of the weights


def fit(latents: np.ndarray, spec: TensorSpec) -> LatentTables:
    """Return the tables for latents (N, H, W, C), int8 or uint8, of tensors like `spec`."""
    weights = _weights(latents.astype(np.float64) - spec.zero_point)
    tables = min(_MOST_TABLES, MOST_ROWS // spec.shape[-1])
    rows, frequencies = zip(*(_of_step(latents, spec, step, weights, tables) for step in STEPS),
                            strict=True)
    return LatentTables(weights, np.stack(rows), np.stack(frequencies))


def _weights(x: np.ndarray) -> np.ndarray:
    """Return the weights of the neighbours that predict each channel best, int32 (C, 2)."""
    found = []
    for plane in np.moveaxis(x, -1, 0):
        left, above, own = (part.reshape(-1) for part in (
            plane[:, 1:, :-1], plane[:, :-1, 1:], plane[:, 1:, 1:]))
        found.append(np.linalg.lstsq(np.stack([left, above], 1), own, rcond=None)[0])
    weights: np.ndarray = np.clip(np.rint(_UNIT * np.array(found)), -MOST_WEIGHT, MOST_WEIGHT)
    return weights.astype(np.int32)


def _of_step(latents: np.ndarray, spec: TensorSpec, step: int, weights: np.ndarray,
             tables: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, uint8 (C, 256), and frequencies, uint16 (C * tables, 256), of one step."""
    channels = spec.shape[-1]
    zero = rounding_for(zero_of(spec), step).middle
    planes = np.stack([np.moveaxis(levels_of(q, spec, step), -1, 0) for q in latents], 1)
    eighths = np.stack([_eighths(plane.astype(np.int64) - zero, weight)
                        for plane, weight in zip(planes, weights, strict=True)])
    rows = np.empty((channels, 256), np.uint8)
    frequencies = np.zeros((channels * tables, 256), np.uint16)
    for channel in range(channels):
        edges = np.unique(np.quantile(eighths[channel], np.arange(1, tables) / tables,
                                      method='lower'))
        own = np.searchsorted(edges, np.arange(256), side='left')
        rows[channel] = channel * tables + own
        counts = np.zeros((tables, 256))
        np.add.at(counts, (own[eighths[channel]], planes[channel]), 1)
        every = counts.sum(0) / counts.sum()
        shares = (counts + _PRIOR * every) / (counts.sum(1, keepdims=True) + _PRIOR)
        frequencies[channel * tables:(channel + 1) * tables] = np.rint(_TOTAL * shares)
    return rows, frequencies


def _eighths(levels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return where the prediction lies among the 256 of `LatentTables.rows`, (N, H, W)."""
    left, above = np.zeros_like(levels), np.zeros_like(levels)
    left[:, :, 1:], above[:, 1:] = levels[:, :, :-1], levels[:, :-1]
    at: np.ndarray = np.clip((weight[0] * left + weight[1] * above + (128 << 5)) >> 5, 0, 255)
    return at
