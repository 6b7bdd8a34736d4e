"""Fold a batch normalisation into the convolution before it."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def folded(kernel: np.ndarray, bias: np.ndarray, norm: 'keras.layers.Layer') -> list[np.ndarray]:
    """Return kernel (kh, kw, C_in, C_out) and bias (C_out,) that include the normalisation."""
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in norm.get_weights())
    gain = gamma / np.sqrt(variance + norm.epsilon)
    return [(kernel * gain).astype(np.float32), ((bias - mean) * gain + beta).astype(np.float32)]
