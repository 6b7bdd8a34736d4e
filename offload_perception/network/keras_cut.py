"""Where a cut lies among the layers of a Keras model."""

from collections.abc import Sequence
from typing import Any

from offload_perception.errors import ModelError

_BELONG_TO_THE_NEXT = ('Flatten', 'ZeroPadding2D', 'Reshape')


def first_layer_after(layers: Sequence[Any], cut_names: Sequence[str], cut: int) -> int:
    """Return the index of the first Keras layer after `cut`.

    What follows a layer of the network without being one itself, such as an activation or a
    batch normalisation, is part of it; what only reshapes belongs to the next layer, as in the
    int8 segments.

    :raises ModelError: if the model has not the layers of `cut_names`.
    """
    if cut == 0:
        return 0
    names = [layer.name for layer in layers]
    missing = [name for name in cut_names[1:] if name not in names]
    if missing:
        raise ModelError(f'the Keras model has no layer {missing[0]}; prepare the model again')
    if cut == len(cut_names) - 1:
        return len(layers)
    stop = names.index(cut_names[cut + 1])
    while type(layers[stop - 1]).__name__ in _BELONG_TO_THE_NEXT:
        stop -= 1
    return stop
