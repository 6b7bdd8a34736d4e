"""Bytes, encode time and agreement of every cut and codec, from tables and from real frames."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception import codec as codecs
from offload_perception.codec.affine import is_float
from offload_perception.codec.container import DTYPES
from offload_perception.codec.features import is_feature_map
from offload_perception.codec.image import is_rgb
from offload_perception.codec.latent import STEPS
from offload_perception.errors import ConfigError, IncomingError, PlanError
from offload_perception.incoming import identifier, number, whole
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.estimate import Estimate
from offload_perception.tensor import TensorSpec

if TYPE_CHECKING:
    from offload_perception.codec.measure import Measurement

COSTS_FILE = 'codec_costs.json'  # beside a model, written by measure_codecs
IMAGE_CODECS = ('raw', 'zstd', 'jpeg:90', 'jpeg:75', 'jpeg:50', 'webp:80', 'webp:50')
LOSSLESS_CODECS = ('raw', 'auto')
FLOAT_CODECS = ('raw', 'auto', 'affine')
LOSSY_CODECS = ('lossy:6', 'lossy:5', 'lossy:4', 'lossy:3', 'lossy:2')
TRANSFORM_CODECS = (  # candidates at calibrated cuts
    'transform:11', 'transform:22', 'transform:45', 'transform:90')
LATENT_CODECS = tuple(f'latent:{step}' for step in STEPS)  # at a learned bottleneck
_LEARNED = ('transform', 'latent')  # only where they were measured
_HEADER_BYTES = 8  # of the codec's container, with two parameters
# First guesses, refined by the first frames: bits per element of VGG16's activations and bits per
# pixel of photos as benchmarks/codec.py finds them; encode time per byte on a small ARM core.
_LOSSY_BITS = {1: 0.3, 2: 0.8, 3: 1.3, 4: 1.9, 5: 2.4, 6: 2.8, 7: 3.2}
_TRANSFORM_BITS = {11: 1.1, 22: 0.6, 45: 0.4, 90: 0.3}
_LATENT_BITS = 1.0
_IMAGE_BITS = {'jpeg': ((50, 1.2), (75, 1.8), (90, 2.9), (100, 8.0)),
               'webp': ((50, 0.9), (80, 1.5), (100, 5.0))}
_LOSSLESS_BITS = {'zstd': 5.0, 'rans': 3.3, 'auto': 3.3, 'adaptive': 3.0}
_FLOAT_SHARE, _AFFINE_BITS = 0.9, 5.0  # of the bytes of floats that zstd leaves; of an element
_ENCODE_S_PER_BYTE = {'raw': 2e-10, 'jpeg': 2.5e-8, 'webp': 2e-7, 'adaptive': 2e-7}
_OTHER_ENCODE_S_PER_BYTE = 5e-8
_GUESS_SPREAD, _TABLE_SPREAD = 0.3, 0.1  # relative, of a guessed size and of a measured mean


def codecs_for(specs: Sequence[TensorSpec]) -> tuple[str, ...]:
    """Return the codec settings that are weighed for the tensors at a cut."""
    if len(specs) == 1 and is_rgb(specs[0]):
        return IMAGE_CODECS
    if len(specs) == 1 and is_float(specs[0]):
        return FLOAT_CODECS
    taken_by_auto = {codecs.parse('auto', spec).codec.name for spec in specs
                     if spec.dtype in DTYPES}
    return (*LOSSLESS_CODECS, *(('adaptive',) if 'rans' in taken_by_auto else ()),
            *(LOSSY_CODECS if any(map(is_feature_map, specs)) else ()))


@dataclass
class _Entry:
    """Bytes and encode time of one pair, and its agreement (NaN if it was never measured)."""

    size: Estimate
    encode: Estimate
    agreement: float

    def column(self) -> tuple[float, ...]:
        return (self.size.level, self.size.level * self.size.spread, self.encode.level,
                self.encode.level * self.encode.spread, self.agreement)


class SizeTable:
    """Size, encode time and agreement of each pair of cut and codec.

    Lossless codecs agree with the whole network to the last bit, and so with the teacher of a
    learned bottleneck as often as that does. The agreement of a lossy one is unknown (NaN) until
    it is measured.
    """

    def __init__(self, shape: NetworkShape) -> None:
        self._shape = shape
        self._entries: dict[tuple[int, str], _Entry] = {}
        self._places: dict[tuple[int, str], int] = {}
        self._table = np.empty((5, 0))

    def load(self, rows: Iterable['Measurement']) -> int:
        """Take measurements by `codec.measure.measure`; return how many were of these cuts."""
        taken = 0
        for row in rows:
            if row.cut in self._shape.names[:-1]:
                self.set(self._shape.names.index(row.cut), row.codec, nbytes=row.bytes,
                         encode_s=row.encode_ms / 1e3, agreement=row.agreement)
                taken += 1
        return taken

    def set(self, cut: int, codec: str, *, nbytes: float, encode_s: float,
            agreement: float = nan) -> None:
        """Take measured means for one cut and codec."""
        entry = self._entry((cut, codec))
        entry.size = Estimate(nbytes, spread=_TABLE_SPREAD, noise=_TABLE_SPREAD)
        entry.size.observe(nbytes)
        entry.encode = Estimate(encode_s, noise=1.0)  # of another computer, perhaps
        if agreement == agreement:
            entry.agreement = min(max(agreement, 0.0), 1.0)
        self._note((cut, codec))

    def observe(self, cut: int, codec: str, nbytes: float, encode_s: float) -> None:
        """Take the measured size and encode time of a frame."""
        if not 0 <= cut < self._shape.last or not codec or not 0 < nbytes < 1e9:
            return
        entry = self._entry((cut, codec))
        entry.size.observe(nbytes)
        entry.encode.observe(encode_s)
        self._note((cut, codec))

    @property
    def learned(self) -> tuple[tuple[int, str], ...]:
        """Return the cuts with codecs that were learned for them, which were measured there."""
        return tuple(pair for pair in self._entries if pair[1].startswith(_LEARNED))

    def watch(self, pairs: Sequence[tuple[int, str]]) -> None:
        """Set the pairs of cut and codec that `columns` holds, in that order."""
        self._places = {pair: place for place, pair in enumerate(pairs)}
        self._table = np.array([self._entry(pair).column() for pair in pairs],
                               float).reshape(-1, 5).T.copy()

    @property
    def columns(self) -> np.ndarray:
        """Return figures of the watched pairs, float64 (5, k); do not write into it.

        Bytes, their standard deviation, encode time, its standard deviation and agreement.
        """
        return self._table

    def column(self, cut: int, codec: str) -> tuple[float, ...]:
        """Return what `columns` has for one pair."""
        return self._entry((cut, codec)).column()

    def _note(self, pair: tuple[int, str]) -> None:
        if (place := self._places.get(pair)) is not None:
            self._table[:, place] = self._entries[pair].column()

    def _entry(self, pair: tuple[int, str]) -> _Entry:
        if pair not in self._entries:
            self._entries[pair] = self._guess(self._shape.specs[pair[0]], pair[1])
        return self._entries[pair]

    def _guess(self, specs: Sequence[TensorSpec], codec: str) -> _Entry:
        each = codecs.setting_of_each(codec, specs)
        nbytes = sum(_HEADER_BYTES + guessed_bits(name, spec) / 8
                     for name, spec in zip(each, specs, strict=True))
        spread = 0.01 if codec == 'raw' else _GUESS_SPREAD
        settings = [codecs.parse(name, spec) for name, spec in zip(each, specs, strict=True)
                    if spec.dtype in DTYPES]
        encode_s = 2e-5 + sum(
            spec.nbytes * _ENCODE_S_PER_BYTE.get(name.partition(':')[0], _OTHER_ENCODE_S_PER_BYTE)
            for name, spec in zip(each, specs, strict=True))
        return _Entry(Estimate(nbytes, noise=spread), Estimate(encode_s, noise=1.0),
                      self._shape.agreement if all(s.codec.lossless for s in settings) else nan)


def guessed_bits(codec: str, spec: TensorSpec) -> float:
    """Return a guess of the payload of a tensor like `spec` [bits].

    :raises ConfigError: for a codec that cannot take it, or that no guess is known for.
    """
    name = codec.strip().partition(':')[0]
    number, *_ = (*codecs.parse(codec, spec).parameters, 0)
    if name == 'raw':
        return 8.0 * spec.nbytes
    if name in _IMAGE_BITS:
        quality, bits = zip(*_IMAGE_BITS[name], strict=True)
        return float(np.interp(float(number), quality, bits)) * spec.size / 3
    if name == 'lossy':
        return _LOSSY_BITS[number] * spec.size
    if name == 'transform':
        return _TRANSFORM_BITS.get(number, 0.5) * spec.size
    if name == 'latent':
        return _LATENT_BITS * spec.size
    if name == 'affine':
        return _AFFINE_BITS * spec.size
    if name in _LOSSLESS_BITS and not spec.quantised:
        return _FLOAT_SHARE * 8 * spec.nbytes
    if name in _LOSSLESS_BITS:
        return (7.0 if is_rgb(spec) else _LOSSLESS_BITS[name]) * spec.size
    raise ConfigError(f"no size is known for codec '{codec}'; load measurements of it")


_RANGES = {'bytes': (1.0, 1e12), 'bytes_p95': (1.0, 1e12), 'bits_per_element': (0.0, 1e12),
           'encode_ms': (0.0, 1e9), 'decode_ms': (0.0, 1e9), 'agreement': (0.0, 1.0),
           'accuracy': (0.0, 1.0)}


def from_records(records: Iterable[dict[str, Any]]) -> list['Measurement']:
    """Return the rows of a JSON file by `measure_codecs` as measurements.

    :raises IncomingError: for a figure that cannot be.
    """
    from offload_perception.codec.measure import Measurement

    keys = set(Measurement.__dataclass_fields__)
    return [_checked(Measurement(**{key: value for key, value in record.items() if key in keys}))
            for record in records]


def _checked(row: 'Measurement') -> 'Measurement':
    for name, value in (('cut', row.cut), ('codec', row.codec)):
        identifier(name, value)
    for name, (low, high) in _RANGES.items():
        figure: Any = getattr(row, name)
        if figure is not None or name not in ('bytes_p95', 'accuracy'):
            number(name, figure, low, high, unknown=low == 0.0)
    whole('images', row.images, 0, 2**53)
    return row


def load_costs(path: Path) -> list['Measurement']:
    """Return the measurements in a file by measure_codecs, of its `--json` or beside a model.

    :param path: the file, or the folder of a model that has one.
    :raises PlanError: if there is none, or it holds something else.
    """
    file = path / COSTS_FILE if path.is_dir() else path
    try:
        data = json.loads(file.read_text())
        return from_records(data['rows'] if isinstance(data, dict) else data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
            IncomingError) as e:
        raise PlanError(f'{file} holds no measurements ({type(e).__name__}: {e}); measure_codecs '
                        'writes them') from e
