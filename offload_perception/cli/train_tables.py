"""train_tables: learn the entropy coder's tables from activations of two networks.

The bundled model and VGG16 see generated terrain; each cut counts alike. Needed only if
the context in `codec/rans.c` changes; the version in `codec/container.py` then has to go up, as
old streams need old tables.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from offload_perception.codec.calibration import best_clip
from offload_perception.codec.features import STEP_BITS, above_lowest, map_shape
from offload_perception.codec.lossy import BITS, is_rectified, levels_for
from offload_perception.codec.rans import CLASSES, FILE, RATIOS, ROWS, contexts
from offload_perception.console import command, progress
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve
from offload_perception.tensor import Tensors
from offload_perception.terrain.tiles import tiles

MODELS = (('aerial', 'bundled', 150), ('vgg16', 'seed:0', 4))  # and images of each
PSEUDO_COUNT, CUT_COUNT, FLOOR = 200, 100_000, 1e-6


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables into the package."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    counts = {bits: np.zeros((ROWS, 1 << bits)) for bits in (*BITS, STEP_BITS)}
    for model, weights, images in MODELS:
        for cut in activations(model, weights, images):
            count_cut(cut, counts)
    tables: dict[str, Any] = {f'bits{bits}': smooth(c) for bits, c in counts.items()}
    np.savez_compressed(FILE, **tables)
    print(f'{FILE}: {FILE.stat().st_size} bytes')
    return 0


def activations(model: str, weights: str, images: int) -> Iterator[np.ndarray]:
    """Yield the steps at each rectified cut, uint8 (images, H, W, C)."""
    artefact = prepare(model, weights, progress=progress)
    network = Chain(artefact, resolve('cpu'), merge=False)
    seen, _ = tiles('train', images, seed=7, size=artefact.input.shape[0])
    xs: list[Tensors] = [(image,) for image in seen]
    for k in range(1, artefact.last):
        progress(f'{artefact.name} {artefact.cut_names[k]}')
        xs = [network.run(k, k, q) for q in xs]
        spec, = artefact.tensors(k)
        if is_rectified(spec):
            yield np.stack([above_lowest(q).reshape(map_shape(q.shape)) for q, in xs])
    network.close()


def count_cut(steps: np.ndarray, counts: dict[int, np.ndarray]) -> None:
    """Add what one cut has to the counts for each number of bits, scaled to `CUT_COUNT`."""
    histogram = np.bincount(steps.reshape(-1), minlength=256)
    for bits, total in counts.items():
        levels = (steps if bits == STEP_BITS
                  else levels_for(0, bits, best_clip(histogram, bits)).of_steps[steps])
        for of_image in levels:
            pair = contexts(of_image).astype(np.int64) << bits | of_image
            found = np.bincount(pair.reshape(-1), minlength=total.size).reshape(total.shape)
            total += found * (CUT_COUNT / levels.size)


def smooth(counts: np.ndarray) -> np.ndarray:
    """Return weights, uint16, smoothed by their class; an unseen class takes the one before."""
    by_class = counts.reshape(len(CLASSES) + 1, RATIOS, -1)
    pooled = by_class.sum(1, keepdims=True)
    for i in range(1, len(pooled)):
        if not pooled[i].any():
            pooled[i] = pooled[i - 1]
    whole = np.maximum(pooled.sum(2, keepdims=True), 1)
    weights = (by_class + PSEUDO_COUNT * pooled / whole).reshape(counts.shape)
    scale = np.maximum(weights.max(1, keepdims=True), FLOOR)
    scaled: np.ndarray = (65535 * weights / scale).astype(np.uint16)
    return scaled


if __name__ == '__main__':
    raise SystemExit(main())
