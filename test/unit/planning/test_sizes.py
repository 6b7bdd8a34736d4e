import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offload_perception import codec
from offload_perception.codec.measure import Measurement
from offload_perception.errors import ConfigError, PlanError
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.session import default_pairs
from offload_perception.planning.sizes import (
    SizeTable,
    codecs_for,
    from_records,
    guessed_bits,
    load_costs,
)
from offload_perception.tensor import TensorSpec


def test_every_default_pair_is_a_real_codec_of_that_cut(shape: NetworkShape) -> None:
    pairs = default_pairs(shape)
    assert {cut for cut, _ in pairs} == set(range(shape.last))
    for cut, name in pairs:
        codec.setting_of_each(name, shape.specs[cut])


def test_guesses_are_sane(shape: NetworkShape) -> None:
    table = SizeTable(shape)
    pairs = default_pairs(shape)
    table.watch(pairs)
    nbytes, _, encode_s, _, agreement = table.columns
    assert (nbytes > 0).all() and (encode_s > 0).all()
    limit = np.array([shape.nbytes[cut] for cut, _ in pairs])
    assert (nbytes <= limit + 100).all()
    lossless = np.array([not name.startswith(('jpeg', 'webp', 'lossy')) for _, name in pairs])
    assert (agreement[lossless] == 1.0).all() and np.isnan(agreement[~lossless]).all()


def test_frames_replace_the_guess(shape: NetworkShape) -> None:
    table = SizeTable(shape)
    table.watch(((14, 'auto'),))
    table.observe(14, 'auto', 9000, 0.002)
    assert table.columns[0, 0] == 9000
    for _ in range(20):
        table.observe(14, 'auto', 10000, 0.002)
    assert table.columns[0, 0] == pytest.approx(10000, rel=0.03)


def test_measurements_bring_agreement(shape: NetworkShape) -> None:
    row = Measurement('block4_pool', 'lossy:3', 4000, 1.3, 0.4, 0.3, 0.97, None, 100)
    table = SizeTable(shape)
    assert table.load(from_records(json.loads(json.dumps([vars(row)])))) == 1
    nbytes, spread, encode_s, _, agreement = table.column(14, 'lossy:3')
    assert (nbytes, encode_s, agreement) == (4000, 0.0004, 0.97) and spread < 1000


def test_frames_refine_a_measured_mean_and_replace_times_of_another_computer(
        shape: NetworkShape) -> None:
    table = SizeTable(shape)
    table.set(14, 'lossy:3', nbytes=4000, encode_s=1e-4, agreement=0.97)
    table.observe(14, 'lossy:3', 5000, 0.01)
    nbytes, _, encode_s, *_ = table.column(14, 'lossy:3')
    assert 4000 < nbytes < 5000 and encode_s == 0.01


def test_rows_of_other_networks_are_left_out(shape: NetworkShape) -> None:
    row = Measurement('block5_pool', 'lossy:3', 4000, 1.3, 0.4, 0.3, 0.97, None, 100)
    assert SizeTable(shape).load([row]) == 0


@pytest.mark.parametrize('codec', ['lossy:3 ', 'lossy:03', ' lossy:3', 'lossy:٣'])
def test_a_codec_is_known_however_its_number_is_written(shape: NetworkShape, codec: str) -> None:
    spec = shape.specs[14][0]
    assert guessed_bits(codec, spec) == guessed_bits('lossy:3', spec)


@pytest.mark.parametrize('change', [
    {'bytes': 'few'}, {'bytes': 0}, {'bytes': None}, {'encode_ms': -1.0}, {'agreement': 2},
    {'agreement': None}, {'cut': 5}, {'codec': ['raw']}, {'images': 1.5}, {'accuracy': []},
    {'bytes_p95': -1}, {'decode_ms': float('inf')}, {'bits_per_element': '8'}])
def test_a_figure_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    row = vars(Measurement('block4_pool', 'lossy:3', 4000, 1.3, 0.4, 0.3, 0.97, None, 100))
    (tmp_path / 'costs').write_text(json.dumps([row]))
    assert load_costs(tmp_path / 'costs') == [Measurement(**row)]
    (tmp_path / 'costs').write_text(json.dumps([{**row, **change}]))
    with pytest.raises(PlanError, match='holds no measurements'):
        load_costs(tmp_path / 'costs')


def test_unknown_codec_is_named(shape: NetworkShape) -> None:
    with pytest.raises(ConfigError, match='mp3'):
        SizeTable(shape).column(0, 'mp3')


def test_absurd_frames_are_ignored(shape: NetworkShape) -> None:
    table = SizeTable(shape)
    before = table.column(3, 'raw')
    for cut, nbytes in ((-1, 5), (99, 5), (3, 0), (3, float('nan'))):
        table.observe(cut, 'raw', nbytes, 0.1)
    assert table.column(3, 'raw') == before


RECTIFIED, SIGNED, REAL = (TensorSpec((7, 7, 32), 'int8', 0.1, -128),
                           TensorSpec((7, 7, 32), 'int8', 0.1, 3),
                           TensorSpec((7, 7, 32), 'float32'))


@pytest.mark.parametrize(('specs', 'lossless', 'lossy'), [
    ((RECTIFIED,), ('raw', 'auto', 'adaptive'), 'lossy:4'),
    ((SIGNED,), ('raw', 'auto'), 'lossy:4'),  # there `auto` is `adaptive`
    ((SIGNED, RECTIFIED), ('raw', 'auto', 'adaptive'), 'lossy:4'),
    ((REAL,), ('raw', 'auto'), 'affine')])
def test_no_codec_is_weighed_twice(specs: tuple[TensorSpec, ...], lossless: tuple[str, ...],
                                   lossy: str) -> None:
    weighed = codecs_for(specs)
    assert tuple(c for c in weighed if not c.startswith(('lossy', 'affine'))) == lossless
    assert lossy in weighed


def test_floats_are_guessed_by_their_bytes() -> None:
    assert guessed_bits('auto', REAL) > 8 * 0.8 * REAL.nbytes
    assert guessed_bits('affine', REAL) < 8 * REAL.size
