"""Cut a .tflite file into segments, and prove that their chain equals the whole."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.network.artefact import MODEL_FILE, Artefact, Layer
from offload_perception.network.layer_cuts import LayerCut
from offload_perception.network.operator_graph import Graph
from offload_perception.network.pixels import PixelInput
from offload_perception.runtime.golden import golden_image, keep_golden, sample
from offload_perception.runtime.select import installed
from offload_perception.runtime.tflite import INTERPRETERS, interpreter_module, without_batch
from offload_perception.tensor import Tensors, TensorSpec

SEGMENTS = 'segments'


def write_segments(graph: Graph, cuts: Sequence[LayerCut], folder: Path, model: bytes, *,
                   pixels: PixelInput, **about: Any) -> Artefact:
    """Write the whole network and its segments into `folder`; return it as a prepared model.

    `about` are further fields of the `Artefact`. The manifest is not written yet.

    :raises ModelError: if a segment cannot run, or their chain differs from the whole.
    """
    (folder / SEGMENTS).mkdir(parents=True, exist_ok=True)
    files = [graph.segment(cut.first, cut.stop) for cut in cuts]
    layers = tuple(_write(folder, k, cut, data)
                   for k, (cut, data) in enumerate(zip(cuts, files, strict=True), 1))
    (folder / MODEL_FILE).write_bytes(model)
    made = run_chain(graph, cuts, files, model, pixels)
    artefact = Artefact(
        path=folder, digest=hashlib.sha256(model).hexdigest(), layers=layers, pixels=pixels,
        image_id=graph.inputs[0], outputs=graph.outputs,
        specs={i: replace(graph.spec(i), shape=x.shape) for i, x in made.items()}, **about)
    return keep_golden(artefact, {i: sample(x) for i, x in made.items()})


def outputs_of(graph: Graph, specs: dict[int, TensorSpec]) -> tuple[TensorSpec, ...]:
    """Return the tensors that the network gives."""
    return tuple(specs[i] for i in graph.outputs)


def run_chain(graph: Graph, cuts: Sequence[LayerCut], files: Sequence[bytes], model: bytes,
              pixels: PixelInput) -> dict[int, np.ndarray]:
    """Run the segments on the golden image and compare the end with that of the whole network.

    Returns the tensors that cross cuts, by number; some operators give theirs a shape only when
    they run.

    :raises ModelError: if a segment cannot run, or their chain differs from the whole.
    """
    given = graph.inputs[0]
    image = pixels.apply(golden_image(pixels.image))
    known = {given: np.ascontiguousarray(image).reshape(graph.shape(given))}
    for cut, data in zip(cuts, files, strict=True):
        made = _run(data, tuple(known[i] for i in cut.takes), f'{graph.what}: layer {cut.name}')
        known.update(zip(cut.gives, made, strict=True))
    whole = _run(model, (known[given],), graph.what)
    for i, y in zip(graph.outputs, whole, strict=True):
        if y.tobytes() != known[i].tobytes():
            raise ModelError(f'{graph.what} computes something else in segments than as a whole '
                             f'({graph.name(i)} differs): it cannot be cut')
    return {i: without_batch(x) for i, x in known.items() if i != given}


def _run(model: bytes, xs: Tensors, what: str) -> Tensors:
    """Run a file once on an interpreter; tensors have their batch dimension."""
    try:
        interpreter = _interpreter_class()(model_content=model)
        interpreter.allocate_tensors()
        for details, x in zip(interpreter.get_input_details(), xs, strict=True):
            interpreter.set_tensor(details['index'], x)
        interpreter.invoke()
        return tuple(interpreter.get_tensor(d['index']) for d in interpreter.get_output_details())
    except (RuntimeError, ValueError, MemoryError) as e:
        raise ModelError(f'{what} cannot run here: {" ".join(str(e).split())}') from e


def _interpreter_class() -> Any:
    runtime = installed()[0]
    if runtime not in INTERPRETERS:
        raise ModelError('preparing a model needs a TFLite interpreter; pip install '
                         'ai-edge-litert')
    return interpreter_module(runtime).Interpreter


def _write(folder: Path, index: int, cut: LayerCut, segment: bytes) -> Layer:
    file = f'{SEGMENTS}/{index:02d}_{cut.name.replace("/", ".")}.tflite'
    (folder / file).write_bytes(segment)
    return Layer(index=index, name=cut.name, kind=cut.kind, stop=cut.stop, takes=cut.takes,
                 gives=cut.gives, weight_bytes=cut.weight_bytes, macs=cut.macs, segment=file,
                 sha256=hashlib.sha256(segment).hexdigest())
