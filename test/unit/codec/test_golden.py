"""Streams that were written once: what is sent today is read tomorrow, and by other machines."""

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unit.codec.golden_streams import FILE, FOREIGN, cases, digest

from offload_perception.codec.registry import CODECS
from offload_perception.errors import DecodeError

CASES = {case.name: case for case in cases()}
GOLDEN = json.loads(FILE.read_text())


def stream_of(name: str) -> bytes:
    return base64.b64decode(GOLDEN[name]['stream'])


def test_every_codec_has_a_golden_stream() -> None:
    missing = {codec.name for codec in CODECS} - {name.partition(':')[0].partition(' ')[0]
                                                  for name in GOLDEN}
    assert not missing, f'give {missing} a case in golden_streams.py and run that file'
    assert GOLDEN.keys() == CASES.keys()
    assert {f'lossy:{bits}' for bits in range(1, 8)} <= {name.rpartition(':')[0] for name in CASES}


@pytest.mark.parametrize('name', [n for n in CASES if not n.startswith(FOREIGN)])
def test_a_tensor_is_encoded_as_it_was_then(name: str) -> None:
    assert CASES[name].encode() == stream_of(name)


@pytest.mark.parametrize('name', [n for n in CASES if not n.startswith(('jpeg', 'webp'))])
def test_a_stream_is_decoded_as_it_was_then(name: str) -> None:
    case, found = CASES[name], CASES[name].decode(stream_of(name))
    assert found.array.shape == case.spec.shape and found.array.dtype == case.spec.dtype
    assert digest(found.array) == GOLDEN[name]['decoded']
    if case.setting.startswith(('raw', 'zstd', 'rans', 'adaptive')):
        assert np.array_equal(found.array, case.tensor)


@pytest.mark.parametrize('name', [n for n in CASES if n.startswith(('jpeg', 'webp'))])
def test_a_picture_is_decoded_as_it_was_then_but_for_rounding(name: str) -> None:
    difference = CASES[name].decode(stream_of(name)).array.astype(int) - CASES[name].tensor
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize(('at', 'what'), [
    (0, 'format'), *((at, 'checksum') for at in (1, 2, 5, 6, 7, 40, -1))])
def test_the_checksum_covers_the_header_and_the_payload(at: int, what: str) -> None:
    """Format, codec, checksum, parameters, and the data."""
    case = CASES['lossy:4:96 int8 6x6x16']
    broken = bytearray(case.encode())
    broken[at] ^= 1 if at != 1 else 3  # 7, the number of another codec
    with pytest.raises(DecodeError, match=what):
        case.decode(broken)


@pytest.mark.parametrize('stream', [  # as format 0xA4 had them: raw, and rans
    'pABQoidAjKSAgJeUgKs=',
    'pAIL8mQ0qfODCxH/hwPjB3B/FgOFAFwH0oShbl9qKgIDh8KCjH8yg00Z76lKKJOE5QMYLQ=='])
def test_a_stream_of_an_earlier_version_is_refused_in_clear_words(stream: str) -> None:
    with pytest.raises(DecodeError, match='format 0xa5 but of 0xa4; install the same version on '
                                          'drone and server'):
        CASES['rans int8 6x6x16'].decode(base64.b64decode(stream))


@pytest.mark.parametrize('change', [
    {'scale': 0.5}, {'zero_point': -127}, {'dtype': 'uint8', 'zero_point': -128},
    {'shape': (6, 16, 6)}])
def test_the_checksum_covers_what_both_ends_know(change: dict[str, Any]) -> None:
    case = CASES['rans int8 6x6x16']
    other = case._replace(spec=replace(case.spec, **change))
    with pytest.raises(DecodeError, match='checksum'):
        other.decode(case.encode())
