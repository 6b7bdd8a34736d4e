"""Whether the int8 network agrees with the float32 network."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.select import cpu_choice
from offload_perception.tensor import TensorSpec

if TYPE_CHECKING:
    import keras

IMAGES = 64  # a share of 90 % is then known to within 7 points
TOGETHER = 8  # of VGG16 they need 200 MB in float32


def agreement(keras_model: 'keras.Model', model_file: Path, given: TensorSpec,
              wanted: TensorSpec, images: np.ndarray) -> float:
    """Return the share of `images` on which both networks give the same class, 0..1.

    `images` are uint8 `(N, H, W, 3)`, of which at most `IMAGES` are taken, spread evenly;
    `given` and `wanted` are the tensors at the ends of the int8 network in `model_file`.
    """
    chosen = images[::-(-len(images) // IMAGES)]
    exact = [np.argmax(keras_model(chosen[i:i + TOGETHER].astype(np.float32), training=False), -1)
             for i in range(0, len(chosen), TOGETHER)]
    found = classify(model_file, given, wanted, chosen)
    return float(np.mean(np.concatenate(exact) == found))


def classify(model_file: Path, given: TensorSpec, wanted: TensorSpec, images: np.ndarray,
             runtime: str | None = None) -> np.ndarray:
    """Return the class ids, int64 `(N,)`, that the int8 network gives to uint8 `images`."""
    runner = load_cpu(runtime or cpu_choice().runtime, model_file, (given,), (wanted,),
                      threads=1)
    try:
        return np.array([runner.run((image,))[0].argmax() for image in images], np.int64)
    finally:
        runner.close()
