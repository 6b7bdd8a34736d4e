"""Run the float32 rest of the network on Keras, after an int8 head."""

from typing import Any

import numpy as np

from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.network.artefact import Artefact
from offload_perception.network.keras_cut import first_layer_after
from offload_perception.runtime.runner import check_tensors
from offload_perception.runtime.select import Choice
from offload_perception.tensor import Tensors


class KerasTail:
    """The float32 tails of one artefact; one that was not warmed up is built when it is used.

    It has the `tail` of a `Chain`, so a server can use either.
    """

    ran, ran_on, trouble = 'keras', 'cpu', ''
    choice = Choice('cpu', 'keras', 'float32 tails')

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact
        self._layers = _load(artefact).layers
        self._functions: dict[int, Any] = {}

    def tail(self, cut: int, xs: Tensors) -> Tensors:
        """Return the class scores, float32 of shape (classes,), for the tensor at `cut`."""
        spec, = self.artefact.tensors(cut)
        check_tensors(xs, (spec,), f'the tail after cut {cut}')
        x = spec.dequantise(xs[0]).astype(np.float32, copy=False)
        if cut == self.artefact.last:
            return (x,)
        return (self._function(cut)(x[None]).numpy()[0],)

    def warm_up(self, cut: int) -> None:
        """Build and trace the tail after `cut`, so that the first frame does not wait."""
        spec, = self.artefact.tensors(cut)
        self.tail(cut, (np.zeros(spec.shape, spec.dtype),))

    def describe(self) -> str:
        """Return the one line for the log."""
        return f'{self.artefact.name}: float32 tails, runtime keras on cpu'

    def close(self) -> None:
        """Release the network."""
        self._layers, self._functions = [], {}

    def _function(self, cut: int) -> Any:
        if cut not in self._functions:
            self._functions[cut] = self._trace(cut)
        return self._functions[cut]

    def _trace(self, cut: int) -> Any:
        import tensorflow as tf

        layers = self._layers[first_layer_after(self._layers, self.artefact.cut_names, cut):]

        def tail(x: Any) -> Any:
            for layer in layers:
                x = layer(x, training=False)
            return x

        shape = (1, *self.artefact.tensors(cut)[0].shape)
        return tf.function(tail, input_signature=[tf.TensorSpec(shape, tf.float32)])


def _load(artefact: Artefact) -> Any:
    if not artefact.keras_file.exists():
        raise ModelError(f'{artefact.keras_file} is missing: only a model that was prepared from '
                         'a Keras network has float32 tails; choose backend int8, which runs the '
                         'same file as the drone'
                         )
    try:
        import keras
    except ImportError as e:
        raise RuntimeUnavailableError(
            f'float32 tails need Keras ({e}); pip install tensorflow, '
            'or choose the int8 tail') from e
    return keras.saving.load_model(artefact.keras_file, compile=False)
