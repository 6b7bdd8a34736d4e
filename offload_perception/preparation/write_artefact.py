"""Write a Keras network as a prepared model."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.network.artefact import MODEL_FILE, Artefact, Layer
from offload_perception.network.cut import CutPoint, cut, cut_points
from offload_perception.network.flatbuffer import Graph
from offload_perception.preparation.agreement import agreement
from offload_perception.preparation.convert import to_int8
from offload_perception.preparation.narrow import narrow_weights

if TYPE_CHECKING:
    import keras

SEGMENTS = 'segments'


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
    (folder / SEGMENTS).mkdir(parents=True, exist_ok=True)
    progress(f'quantising {name} to int8')
    model = to_int8(keras_model, images)
    if weight_bits == 7:
        model = narrow_weights(model, name)
    progress(f'cutting {name}')
    graph = Graph(model, name)
    points = cut_points(graph, layer_names(keras_model))
    layers = tuple(_write_segment(folder, i, point, cut(graph, points, i, i))
                   for i, point in enumerate(points, 1))
    (folder / MODEL_FILE).write_bytes(model)
    progress(f'comparing {name} with its float32 network')
    artefact = Artefact(
        path=folder, name=name, digest=hashlib.sha256(model).hexdigest(), weights=weights,
        trained=trained, input=graph.input, layers=layers, labels=labels, fit=fit,
        agreement=agreement(keras_model, folder / MODEL_FILE, graph.input, layers[-1].output,
                            images))
    if artefact.doubt:
        progress(f'WARNING: {artefact.doubt}')
    progress(f'saving {name}')
    keras_model.save(artefact.keras_file)
    if labels:
        (folder / 'labels.txt').write_text('\n'.join(labels) + '\n')
    artefact.save_manifest()
    return artefact


def layer_names(keras_model: 'keras.Model') -> list[str]:
    """Return the names of the layers that become convolutions, poolings and dense operators."""
    kinds = {'Conv2D', 'MaxPooling2D', 'AveragePooling2D', 'Dense'}
    return [layer.name for layer in keras_model.layers if type(layer).__name__ in kinds]


def _write_segment(folder: Path, index: int, point: CutPoint, segment: bytes) -> Layer:
    file = f'{SEGMENTS}/{index:02d}_{point.name}.tflite'
    (folder / file).write_bytes(segment)
    return Layer(index=index, name=point.name, kind=point.kind, output=point.output,
                 weight_bytes=point.weight_bytes, macs=point.macs, segment=file,
                 sha256=hashlib.sha256(segment).hexdigest())
