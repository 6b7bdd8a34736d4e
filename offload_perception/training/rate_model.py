"""The bits that a latent will take: a density for each channel, around a linear prediction.

As in learned image compression (Balle, Minnen et al., arXiv:1802.01436), rounding to steps is
replaced by uniform noise of the same width while training. The prediction takes the neighbours to
the left and above, which the codec knows, too (see `codec.latent`): so the encoder learns to make
latents that their neighbours predict.
"""

from typing import Any

import numpy as np

_PARTS, _LEAST = 3, 1e-6


class RateModel:
    """A mixture of logistic densities for each of `channels`, trained with the encoder."""

    def __init__(self, channels: int, seed: int) -> None:
        import tensorflow as tf

        rng = np.random.default_rng(seed)
        self.share = tf.Variable(tf.zeros((_PARTS, channels)))
        self.centre = tf.Variable(rng.normal(size=(_PARTS, channels)).astype(np.float32))
        self.log_width = tf.Variable(tf.zeros((_PARTS, channels)))
        self.weights = tf.Variable(tf.zeros((2, channels)))  # of the left and the upper neighbour

    @property
    def variables(self) -> list[Any]:
        """Return what is trained."""
        return [self.share, self.centre, self.log_width, self.weights]

    def bits(self, noisy: Any, rounded: Any, step: Any) -> Any:
        """Return the bits of each image, (N,).

        :param noisy: the latent with noise, (N, H, W, C); `rounded` is the one that is sent.
        :param step: the width of a step, (N, 1, 1, 1).
        """
        import tensorflow as tf

        left = tf.pad(rounded, [[0, 0], [0, 0], [1, 0], [0, 0]])[:, :, :-1]
        above = tf.pad(rounded, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1]
        off = noisy - self.weights[0] * left - self.weights[1] * above
        shares, likelihood = tf.nn.softmax(self.share, axis=0), 0.0
        for part in range(_PARTS):
            centred, narrow = off - self.centre[part], tf.exp(-self.log_width[part])
            likelihood += shares[part] * (tf.sigmoid((centred + step / 2) * narrow)
                                          - tf.sigmoid((centred - step / 2) * narrow))
        return tf.reduce_sum(-tf.math.log(tf.maximum(likelihood, _LEAST)),
                             axis=[1, 2, 3]) / np.log(2)
