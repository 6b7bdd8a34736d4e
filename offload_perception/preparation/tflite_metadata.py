"""What TFLite metadata say of a network: how pixels are scaled, and labels.

The format is that of metadata_schema.fbs of tflite-support: a flatbuffer in the buffer
`TFLITE_METADATA`, and the associated files as a ZIP archive after the model's end.
"""

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import flatbuffers
import flatbuffers.number_types as number
import numpy as np
from flatbuffers.table import Table

from offload_perception.incoming import text
from offload_perception.network.flatbuffer import text_of
from offload_perception.network.operator_graph import Graph
from offload_perception.network.pixels import PixelRule

NAME = 'TFLITE_METADATA'
LABELS_BYTES = 4 << 20
_SUBGRAPHS, _INPUTS, _PROCESS_UNITS, _OPTIONS_TYPE, _OPTIONS, _MEAN, _STD = 3, 2, 4, 0, 1, 0, 1
_NORMALIZATION = 1


@dataclass(frozen=True)
class Metadata:
    """What was found; `rule` is None without a normalisation of the pixels."""

    rule: PixelRule | None = None
    labels: tuple[str, ...] = ()

    def labels_for(self, classes: int | None) -> tuple[str, ...]:
        """Return the labels if there is one for each class, else none."""
        return self.labels if classes is None or len(self.labels) == classes else ()


def read_metadata(graph: Graph, model: bytes) -> Metadata:
    """Return the metadata of a file; what is missing or broken is left out."""
    return Metadata(_rule(graph), _labels(model))


def _rule(graph: Graph) -> PixelRule | None:
    try:
        buffers = [graph.model.buffers[m.buffer].data for m in graph.model.metadata or ()
                   if text_of(m.name) == NAME]
        return _normalisation(bytes(buffers[0])) if buffers and buffers[0] is not None else None
    except Exception:  # broken bytes may raise anything in the reader
        return None


def _normalisation(data: bytes) -> PixelRule | None:
    root = Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
    for subgraph in _tables(root, _SUBGRAPHS)[:1]:
        for tensor in _tables(subgraph, _INPUTS)[:1]:
            for unit in _tables(tensor, _PROCESS_UNITS):
                if _byte(unit, _OPTIONS_TYPE) == _NORMALIZATION:
                    options = _table(unit, _OPTIONS)
                    mean, std = _floats(options, _MEAN), _floats(options, _STD)
                    return PixelRule(_three(mean), _three(std)) if mean else None
    return None


def _three(values: list[float]) -> tuple[float, ...]:
    return tuple(values * 3) if len(values) == 1 else tuple(values)


def _labels(model: bytes) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            files = [i for i in archive.infolist() if i.filename.endswith('.txt')
                     and 'label' in i.filename and i.file_size <= LABELS_BYTES]
            if len(files) != 1:
                return ()
            lines = archive.read(files[0]).decode('utf-8-sig').splitlines()
    except Exception:  # no archive, or a broken one, which may raise anything
        return ()
    return tuple(text(line.strip()) for line in lines if line.strip())


def _field(table: Table, field: int) -> int:
    offset: int = table.Offset(4 + 2 * field)
    return offset


def _tables(table: Table, field: int) -> list[Table]:
    offset = _field(table, field)
    if not offset:
        return []
    start = table.Vector(offset)
    return [Table(table.Bytes, table.Indirect(start + 4 * k))
            for k in range(min(table.VectorLen(offset), 16))]


def _table(table: Table, field: int) -> Table:
    return Table(table.Bytes, table.Indirect(_field(table, field) + table.Pos))


def _byte(table: Table, field: int) -> int:
    offset = _field(table, field)
    value: Any = table.Get(number.Uint8Flags, offset + table.Pos) if offset else 0
    return int(value)


def _floats(table: Table, field: int) -> list[float]:
    offset = _field(table, field)
    if not offset:
        return []
    values: np.ndarray = table.GetVectorAsNumpy(number.Float32Flags, offset)
    return [float(v) for v in values[:4]]
