"""How much the class depends on each element of a block, from gradients of the Keras network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from offload_perception.codec.learn_transform import block_side
from offload_perception.codec.transform import blocks
from offload_perception.errors import ModelError
from offload_perception.keras_backend import load_keras
from offload_perception.network.artefact import Artefact
from offload_perception.network.keras_cut import first_layer_after

_BATCH, _MARGIN = 10, 1.0  # the margin limits the weight of images between two classes


def metrics(artefact: Artefact, images: Sequence[np.ndarray] | np.ndarray,
            cuts: Sequence[int]) -> dict[int, np.ndarray]:
    """Return for each cut the mean outer product of gradients over all blocks, (d, d).

    The gradients are those of the two smallest margins of the class found, before the softmax,
    each by its margin: what flips a class soonest weighs most.

    :raises ModelError: if the artefact has no Keras network or TensorFlow is not installed.
    """
    try:
        import tensorflow as tf

        layers = load_keras(artefact.verified_keras_file()).layers
    except (ImportError, OSError, ValueError) as e:
        raise ModelError(f'gradients need TensorFlow and the float32 network: {e}') from e
    cut_before = {first_layer_after(layers, artefact.cut_names, cut): cut for cut in cuts}
    total: dict[int, Any] = dict.fromkeys(cuts, 0.0)
    for start in range(0, len(images), _BATCH):
        x = tf.constant(np.asarray(images[start:start + _BATCH], np.float32))
        with tf.GradientTape(persistent=True) as tape:
            at = {}
            for i, layer in enumerate(layers[:-1]):
                if i in cut_before:
                    tape.watch(x)
                    at[cut_before[i]] = x
                x = layer(x, training=False)
            last = layers[-1]
            top = tf.math.top_k(tf.matmul(x, last.kernel) + last.bias, 3).values
            margins = top[:, :1] - top[:, 1:]
            # its gradient is that of the margin by the margin
            weighed = [tf.reduce_sum(tf.math.log(margins[:, i] + _MARGIN)) for i in range(2)]
        for cut, tensor in at.items():
            side = block_side(tensor.shape[1:])
            for target in weighed:
                for gradient in tape.gradient(target, tensor).numpy():
                    rows = blocks(gradient, side)
                    total[cut] = total[cut] + rows.T @ rows / (2 * len(images))
    return total
