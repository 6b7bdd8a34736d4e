"""Write every prefix of a network as files of its own: Keras, float32, int8, Edge TPU."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.edgetpu import compile as edgetpu_compile
from offload_perception.errors import ModelError
from offload_perception.keras_backend import import_keras
from offload_perception.network.artefact import Artefact, Layer
from offload_perception.network.dense import check_dense
from offload_perception.network.digest import file_digest
from offload_perception.network.graph import Graph
from offload_perception.network.keras_cut import first_layer_after
from offload_perception.preparation.convert import to_float
from offload_perception.preparation.write_artefact import layer_names
from offload_perception.tensor import TensorSpec

if TYPE_CHECKING:
    import keras

MANIFEST = 'exports.json'
Writer = Callable[[Path], Any]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Export:
    """One file: layers 1 to `layer.index` in one format."""

    path: Path
    layer: Layer
    write: Writer


class Exporter:
    """Writes the prefixes of one prepared model; the int8 ones are cut from its int8 network.

    :raises ModelError: if the prepared model has no float network, or `folder` already holds
        the exports of another model.
    """

    def __init__(self, artefact: Artefact, folder: Path, *, h5: bool = False) -> None:
        self.artefact, self.folder = artefact, folder
        self._suffix = '.h5' if h5 else '.keras'
        self._model = _load_keras(artefact)
        self._graph = Graph(artefact.model_file.read_bytes(), artefact.name)
        check_dense(self._graph)
        self._claim()

    def run(self, progress: Progress) -> list[dict[str, Any]]:
        """Write all files that are not there yet, and return the manifest's entries.

        A prefix that the Edge TPU compiler refuses is left out, and `progress` hears why.
        """
        entries = self._read_entries()
        for export in self.exports():
            entry = entries.get(export.path.name)
            if entry and entry['bytes'] == _size(export.path):
                continue  # finished in an earlier run
            started = perf_counter()
            partial = export.path.with_name(f'partial-{export.path.name}')
            try:
                export.write(partial)
            except edgetpu_compile.CompilerError as e:
                progress(f'left out {export.path.name}: {e}')
                continue
            partial.rename(export.path)
            seconds = perf_counter() - started
            entries[export.path.name] = self._entry(export, seconds)
            self._save(entries)
            progress(f'{export.path.name}: {_size(export.path)} bytes in {seconds:.1f} s')
        return list(entries.values())

    def exports(self) -> Iterator[Export]:
        """Yield every file to write, prefix by prefix."""
        for layer in self.artefact.layers:
            base = self.folder / f'{layer.index:02d}_{layer.name}'
            yield Export(base.with_suffix(self._suffix), layer, self._keras_writer(layer))
            yield Export(Path(f'{base}_float32.tflite'), layer, self._float_writer(layer))
            yield Export(Path(f'{base}_int8.tflite'), layer, self._int8_writer(layer))
            if shutil.which(edgetpu_compile.COMPILER):
                yield Export(Path(f'{base}_edgetpu.tflite'), layer, self._edgetpu_writer(base))

    def _keras_writer(self, layer: Layer) -> Writer:
        return lambda path: self._prefix(layer).save(path)

    def _float_writer(self, layer: Layer) -> Writer:
        return lambda path: path.write_bytes(to_float(self._prefix(layer)))

    def _int8_writer(self, layer: Layer) -> Writer:
        return lambda path: path.write_bytes(
            self._graph.segment(0, layer.stop))

    def _edgetpu_writer(self, base: Path) -> Writer:
        int8 = Path(f'{base}_int8.tflite')
        return lambda path: edgetpu_compile.compile_file(int8, path)

    def _prefix(self, layer: Layer) -> 'keras.Model':
        keras, layers = import_keras(), self._model.layers
        stop = first_layer_after(layers, self.artefact.cut_names, layer.index)
        return keras.Sequential([keras.Input(self._model.input_shape[1:]), *layers[:stop]],
                                name=f'{self._model.name}_{layer.name}')

    def _entry(self, export: Export, seconds: float) -> dict[str, Any]:
        layers, output = self.artefact.layers[:export.layer.index], export.layer.output
        if '_int8' not in export.path.name and '_edgetpu' not in export.path.name:
            output = TensorSpec(output.shape, 'float32')
        return {
            'file': export.path.name, 'layer': export.layer.name, 'index': export.layer.index,
            'sha256': file_digest(export.path), 'bytes': _size(export.path), 'seconds': seconds,
            'input': self._input(output).to_dict(), 'output': output.to_dict(),
            'weight_bytes': sum(each.weight_bytes for each in layers),
            'macs': sum(each.macs for each in layers)}

    def _input(self, output: TensorSpec) -> TensorSpec:
        pixels = self.artefact.input
        return TensorSpec(pixels.shape, 'float32') if output.dtype == 'float32' else pixels

    def _claim(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob('partial-*'):
            leftover.unlink()
        manifest = self.folder / MANIFEST
        if manifest.exists():
            found = json.loads(manifest.read_text()).get('digest')
            if found != self.artefact.digest:
                raise ModelError(f'{self.folder} holds exports of another model ({found}); '
                                 'choose another folder or delete it')

    def _read_entries(self) -> dict[str, dict[str, Any]]:
        manifest = self.folder / MANIFEST
        files = json.loads(manifest.read_text())['files'] if manifest.exists() else []
        return {entry['file']: entry for entry in files}

    def _save(self, entries: dict[str, dict[str, Any]]) -> None:
        model = {'name': self.artefact.name, 'digest': self.artefact.digest,
                 'weights': self.artefact.weights, 'trained': self.artefact.trained}
        partial = self.folder / f'partial-{MANIFEST}'
        partial.write_text(json.dumps({**model, 'files': list(entries.values())}, indent=1))
        partial.rename(self.folder / MANIFEST)


def check(folder: Path, entry: dict[str, Any]) -> float:
    """Load the file of a manifest's entry, run it once on grey pixels; return seconds taken.

    :raises ModelError: if it does not run or gives another shape than the manifest says.
    """
    from offload_perception.runtime.load import load_cpu

    path, started = folder / entry['file'], perf_counter()
    given, wanted = (TensorSpec.from_dict(entry[end]) for end in ('input', 'output'))
    image = np.full(given.shape, 128, given.dtype)
    if file_digest(path) != entry['sha256']:
        raise ModelError(f'{path} is not the file that was exported; delete and export it again')
    if path.suffix in ('.keras', '.h5'):
        found = import_keras().models.load_model(path, compile=False)(image[None])[0]
        shape, dtype = tuple(found.shape), found.dtype.name
    else:
        runner = load_cpu('litert', path, given, wanted, threads=2)
        shape, dtype = (found := runner.run(image)).shape, found.dtype.name
        runner.close()
    if (shape, dtype) != (wanted.shape, wanted.dtype):
        raise ModelError(f'{path} gives {dtype} {shape}, the manifest says {wanted}')
    return perf_counter() - started


def _load_keras(artefact: Artefact) -> 'keras.Model':
    if not artefact.keras_file.exists():
        raise ModelError(f'{artefact.path} has no float network to export; prepare it again')
    return import_keras().models.load_model(artefact.keras_file, compile=False)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None
