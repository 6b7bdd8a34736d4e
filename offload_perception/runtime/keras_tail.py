"""Run the float32 rest of the network on Keras, after an int8 head."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.keras_backend import import_keras, load_keras
from offload_perception.network.artefact import Artefact
from offload_perception.network.batch_sizes import MOST, batch_sizes
from offload_perception.network.keras_cut import first_layer_after
from offload_perception.runtime.merge import dense_start
from offload_perception.runtime.race import race
from offload_perception.runtime.runner import check_tensors
from offload_perception.runtime.select import Choice
from offload_perception.tensor import Tensors


class KerasTail:
    """The float32 tails of one artefact; what was not warmed up is traced when it is used.

    Fully connected layers at its end run in batches, see `ServedNetwork`. Results of a batch may
    differ from those of single frames in the last bits of float32: sums have another order.

    :ivar together_s: seconds of the layers after the join, by number of frames, as measured.
    """

    ran, ran_on, trouble = 'keras', 'cpu', ''
    choice = Choice('cpu', 'keras', 'float32 tails')

    def __init__(self, artefact: Artefact, *, most: int = MOST) -> None:
        self.artefact = artefact
        self._layers = _load(artefact).layers
        self._functions: dict[tuple[int, int], Any] = {}
        start = dense_start(artefact)
        self.join, self.most = (start, most) if start < artefact.last else (artefact.last, 1)
        self.together_s: Mapping[int, float] = {}

    def tail(self, cut: int, xs: Tensors) -> Tensors:
        """Return the class scores, float32 of shape (classes,), for the tensor at `cut`."""
        return self.together([max(cut, self.join)], [self.to_join(cut, xs)])[0]

    def to_join(self, cut: int, xs: Tensors) -> Tensors:
        """Return the tensor at the join, float32; that of a later cut dequantised."""
        spec, = self.artefact.tensors(cut)
        check_tensors(xs, (spec,), f'the tail after cut {cut}')
        x = spec.dequantise(xs[0]).astype(np.float32, copy=False)
        return (self._run(cut, max(cut, self.join), x[None])[0],)

    def together(self, cuts: Sequence[int], frames: Sequence[Tensors]) -> list[Tensors]:
        """Return the class scores of several frames."""
        order = sorted(range(len(frames)), key=lambda n: cuts[n])
        at = cuts[order[0]]
        x = np.stack([frames[n][0] for n in order if cuts[n] == at])
        for cut in sorted({*cuts} - {at}):
            x = np.concatenate([self._run(at, cut, x),
                                *(frames[n][0][None] for n in order if cuts[n] == cut)])
            at = cut
        scores = self._run(at, self.artefact.last, x)
        rows = {n: (scores[row],) for row, n in enumerate(order)}
        return [rows[n] for n in range(len(frames))]

    def warm_up(self, cut: int) -> None:
        """Build and trace the tail after `cut`, so that the first frame does not wait."""
        spec, = self.artefact.tensors(cut)
        self.tail(cut, (np.zeros(spec.shape, spec.dtype),))

    def measure(self) -> None:
        """Time batches of 1, 2, 4 ... frames."""
        if self.most > 1:
            spec, = self.artefact.tensors(self.join)
            frame = (np.zeros(spec.shape, np.float32),)
            self.together_s = race({
                n: partial(self.together, [self.join] * n, [frame] * n)
                for n in batch_sizes(self.most)}, rounds=8)

    def describe(self) -> str:
        """Return the one line for the log."""
        return f'{self.artefact.name}: float32 tails, runtime keras on cpu'

    def close(self) -> None:
        """Release the network."""
        self._layers, self._functions = [], {}

    def _run(self, cut: int, to: int, x: np.ndarray) -> np.ndarray:
        """Run the layers between two cuts on frames of shape (n, ...)."""
        if cut == to:
            return x
        if (cut, to) not in self._functions:
            self._functions[cut, to] = self._trace(cut, to)
        y: np.ndarray = self._functions[cut, to](x).numpy()
        return y

    def _trace(self, cut: int, to: int) -> Any:
        import tensorflow as tf

        first, stop = (first_layer_after(self._layers, self.artefact.cut_names, c)
                       for c in (cut, to))
        layers = self._layers[first:stop]

        def tail(x: Any) -> Any:
            for layer in layers:
                x = layer(x, training=False)
            return x

        shape = (None, *self.artefact.tensors(cut)[0].shape)
        return tf.function(tail, input_signature=[tf.TensorSpec(shape, tf.float32)])


def _load(artefact: Artefact) -> Any:
    if not artefact.keras_file.exists():
        raise ModelError(f'{artefact.keras_file} is missing: only a model that was prepared from '
                         'a Keras network has float32 tails; choose backend int8, which runs the '
                         'same file as the drone'
                         )
    try:
        import_keras()
    except ModelError as e:
        raise RuntimeUnavailableError(
            f'float32 tails need Keras ({e}); pip install tensorflow, '
            'or choose the int8 tail') from e
    return load_keras(artefact.verified_keras_file())
