import random

import pytest
from unit.power.um_frames import reading

from offload_perception.errors import ConfigError
from offload_perception.power.drivers.plausibility import implausible, without_impossible
from offload_perception.power.drivers.um25c import (
    MODELS,
    Model,
    decode,
    encode,
    seal,
    tail_is_right,
)
from offload_perception.power.emulation.faults import (
    LINE_BYTES_PER_S,
    Fault,
    Piece,
    fault_named,
    reply,
)

SEEDS = range(20)


def sent(fault: Fault | None, seed: int = 0,
         frame: bytes | None = None) -> tuple[bytes, list[Piece]]:
    pieces = reply(frame or seal(encode(reading())), fault, random.Random(seed))
    return b''.join(p.data for p in pieces), pieces


@pytest.mark.parametrize('fault', [None, Fault.FRAGMENTS])
def test_sound_bytes_at_the_pace_of_9600_baud(fault: Fault | None) -> None:
    data, pieces = sent(fault)
    assert data == seal(encode(reading()))
    assert sum(p.after_s for p in pieces) == pytest.approx(130 / LINE_BYTES_PER_S)


@pytest.mark.parametrize('fault', [Fault.SILENCE, Fault.DISCONNECT])
def test_nothing_is_sent(fault: Fault) -> None:
    assert sent(fault)[1] == []


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('model', MODELS.values(), ids=lambda m: m.name)
def test_each_fault_does_what_its_name_says(seed: int, model: Model) -> None:
    frame = seal(encode(reading(model)))
    assert sent(Fault.GARBAGE, seed, frame)[0].endswith(frame)
    assert 0 < len(sent(Fault.TRUNCATION, seed, frame)[0]) < 130
    assert implausible(decode(sent(Fault.IMPLAUSIBLE, seed, frame)[0])) is not None
    odd = decode(sent(Fault.ODD_FIELD, seed, frame)[0])
    assert implausible(odd) is None and without_impossible(odd).unknown
    assert sent(Fault.WRONG_ID, seed, frame)[0][:2] == b'\xff\xff'
    assert not tail_is_right(sent(Fault.WRONG_TAIL, seed, frame)[0])
    assert sent(Fault.SLOW, seed, frame)[1][0].after_s >= 0.3


def test_unknown_fault_lists_the_known() -> None:
    with pytest.raises(ConfigError, match='wrong-tail'):
        fault_named('gremlin')
