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
from offload_perception.errors import IncomingError, ModelError
from offload_perception.incoming import identifier, whole
from offload_perception.keras_backend import import_keras, load_keras
from offload_perception.network.artefact import Artefact, Layer
from offload_perception.network.dense import check_dense
from offload_perception.network.digest import file_digest
from offload_perception.network.keras_cut import first_layer_after
from offload_perception.network.operator_graph import Graph
from offload_perception.preparation.convert import to_float
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
    """Writes the prefixes of one prepared model; its own kind are cut from its own file.

    A model without a Keras network, made of a .tflite file, has no Keras and float32 exports
    besides.

    :raises ModelError: if `folder` already holds the exports of another model, or another TFLite
        would misread the prefixes (see `dense`).
    """

    def __init__(self, artefact: Artefact, folder: Path, *, h5: bool = False) -> None:
        self.artefact, self.folder = artefact, folder
        self._suffix = '.h5' if h5 else '.keras'
        self._graph = Graph(artefact.model_file.read_bytes(), artefact.name)
        self._model = None
        if artefact.keras_file.exists():
            check_dense(self._graph)
            self._model = load_keras(artefact.verified_keras_file())
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
        own = 'int8' if self.artefact.quantised else 'float32'
        for layer in self.artefact.layers:
            base = self.folder / f'{layer.index:02d}_{layer.name.replace("/", ".")}'
            if self._model is not None:
                yield Export(Path(f'{base}{self._suffix}'), layer, self._keras_writer(layer))
                yield Export(Path(f'{base}_float32.tflite'), layer, self._float_writer(layer))
            yield Export(Path(f'{base}_{own}.tflite'), layer, self._own_writer(layer))
            if self.artefact.quantised and shutil.which(edgetpu_compile.COMPILER):
                yield Export(Path(f'{base}_edgetpu.tflite'), layer, self._edgetpu_writer(base))

    def _keras_writer(self, layer: Layer) -> Writer:
        return lambda path: self._prefix(layer).save(path)

    def _float_writer(self, layer: Layer) -> Writer:
        return lambda path: path.write_bytes(to_float(self._prefix(layer)))

    def _own_writer(self, layer: Layer) -> Writer:
        return lambda path: path.write_bytes(self._graph.segment(0, layer.stop))

    def _edgetpu_writer(self, base: Path) -> Writer:
        int8 = Path(f'{base}_int8.tflite')
        return lambda path: edgetpu_compile.compile_file(int8, path)

    def _prefix(self, layer: Layer) -> 'keras.Model':
        assert self._model is not None  # else it has no such exports
        keras, layers = import_keras(), self._model.layers
        stop = first_layer_after(layers, self.artefact.cut_names, layer.index)
        return keras.Sequential([keras.Input(self._model.input_shape[1:]), *layers[:stop]],
                                name=f'{self._model.name}_{layer.name}')

    def _entry(self, export: Export, seconds: float) -> dict[str, Any]:
        layers = self.artefact.layers[:export.layer.index]
        given, wanted = self.artefact.end_specs(1, export.layer.index)
        if self._model is not None and export.path.name.endswith(
                (self._suffix, '_float32.tflite')):
            given, wanted = (tuple(TensorSpec(spec.shape, 'float32') for spec in specs)
                             for specs in (given, wanted))
        return {
            'file': export.path.name, 'layer': export.layer.name, 'index': export.layer.index,
            'sha256': file_digest(export.path), 'bytes': _size(export.path), 'seconds': seconds,
            'inputs': [spec.to_dict() for spec in given],
            'outputs': [spec.to_dict() for spec in wanted],
            'weight_bytes': sum(each.weight_bytes for each in layers),
            'macs': sum(each.macs for each in layers)}

    def _claim(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob('partial-*'):
            leftover.unlink()
        if (self.folder / MANIFEST).exists():
            found = _manifest(self.folder)['digest']
            if found != self.artefact.digest:
                raise ModelError(f'{self.folder} holds exports of another model ({found}); '
                                 'choose another folder or delete it')

    def _read_entries(self) -> dict[str, dict[str, Any]]:
        files = _manifest(self.folder)['files'] if (self.folder / MANIFEST).exists() else []
        return {entry['file']: entry for entry in files}

    def _save(self, entries: dict[str, dict[str, Any]]) -> None:
        model = {'name': self.artefact.name, 'digest': self.artefact.digest,
                 'weights': self.artefact.weights, 'trained': self.artefact.trained}
        partial = self.folder / f'partial-{MANIFEST}'
        partial.write_text(json.dumps({**model, 'files': list(entries.values())}, indent=1))
        partial.rename(self.folder / MANIFEST)


def _manifest(folder: Path) -> dict[str, Any]:
    """Return the digest and the entries in a manifest; raises ModelError if it is broken."""
    try:
        found = json.loads((folder / MANIFEST).read_text())
        files = [{**entry, 'file': identifier('file', entry['file'], 255),
                  'bytes': whole('bytes', entry['bytes'], 0, 2**63)} for entry in found['files']]
        return {'digest': identifier('digest', found['digest']), 'files': files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
            IncomingError) as e:
        raise ModelError(f'{folder / MANIFEST} cannot be read ({e}); choose another folder or '
                         'delete this one') from e


def check(folder: Path, entry: dict[str, Any]) -> float:
    """Load the file of a manifest's entry, run it once on grey pixels; return seconds taken.

    :raises ModelError: if it does not run or gives another shape than the manifest says.
    """
    from offload_perception.runtime.load import load_cpu

    path, started = folder / entry['file'], perf_counter()
    given, wanted = (tuple(map(TensorSpec.from_dict, entry[end])) for end in ('inputs', 'outputs'))
    xs = tuple(np.full(spec.shape, 128, spec.dtype) for spec in given)
    if file_digest(path) != entry['sha256']:
        raise ModelError(f'{path} is not the file that was exported; delete and export it again')
    if path.suffix in ('.keras', '.h5'):
        made = np.asarray(load_keras(path)(xs[0][None]))
        found = [(made.shape[1:], made.dtype.name)]
    else:
        runner = load_cpu('litert', path, given, wanted, threads=2)
        found = [(y.shape, y.dtype.name) for y in runner.run(xs)]
        runner.close()
    if found != [(spec.shape, spec.dtype) for spec in wanted]:
        raise ModelError(f'{path} gives {found}, the manifest says {wanted}')
    return perf_counter() - started


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None
