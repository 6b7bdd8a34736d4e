"""Write a Keras network as a prepared model."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.network.digest import file_digest
from offload_perception.network.layer_cuts import named_layers
from offload_perception.network.operator_graph import Graph
from offload_perception.network.pixels import PixelInput
from offload_perception.preparation.agreement import agreement
from offload_perception.preparation.convert import to_int8
from offload_perception.preparation.cutting import write_segments
from offload_perception.preparation.narrow import narrow_weights

if TYPE_CHECKING:
    import keras


def write_artefact(keras_model: 'keras.Model', folder: Path, *, name: str, weights: str,
                   trained: bool, labels: Iterable[str], images: np.ndarray,
                   weight_bits: int = 8, fit: str = 'crop',
                   progress: Callable[[str], None] = lambda text: None) -> Artefact:
    """Quantise and cut `keras_model` into `folder`, and return it as a prepared model.

    `images` are representative, uint8 `(N, H, W, 3)`; `weights` says in words where the weights
    come from; `labels` may be empty; `weight_bits` is 8 or 7 (see `narrow`);
    `fit` says how pictures are fitted to the shape of the input.

    :raises ModelError: if the network cannot be quantised or cut.
    """
    labels = tuple(labels)
    if labels and len(labels) != keras_model.output_shape[-1]:
        raise ModelError(f'{len(labels)} labels for {keras_model.output_shape[-1]} classes')
    progress(f'quantising {name} to int8')
    model = to_int8(keras_model, images)
    if weight_bits == 7:
        model = narrow_weights(model, name)
    progress(f'cutting {name}')
    graph = Graph(model, name)
    folder.mkdir(parents=True, exist_ok=True)
    pixels = PixelInput(graph.spec(graph.inputs[0]))
    artefact = write_segments(
        graph, named_layers(graph, layer_names(keras_model)), folder, model, pixels=pixels,
        name=name, weights=weights, trained=trained, labels=labels, fit=fit)
    progress(f'comparing {name} with its float32 network')
    given, wanted = pixels.spec, artefact.tensors(artefact.last)[0]
    artefact = replace(artefact, agreement=agreement(keras_model, artefact.model_file, given,
                                                     wanted, images))
    if artefact.doubt:
        progress(f'WARNING: {artefact.doubt}')
    progress(f'saving {name}')
    keras_model.save(artefact.keras_file)
    artefact = replace(artefact, keras_sha256=file_digest(artefact.keras_file))
    if labels:
        (folder / 'labels.txt').write_text('\n'.join(labels) + '\n')
    artefact.save_manifest()
    return artefact


def layer_names(keras_model: 'keras.Model') -> list[str]:
    """Return the names of the layers that become convolutions, poolings and dense operators."""
    kinds = {'Conv2D', 'DepthwiseConv2D', 'MaxPooling2D', 'AveragePooling2D', 'Dense'}
    return [layer.name for layer in keras_model.layers if type(layer).__name__ in kinds]
