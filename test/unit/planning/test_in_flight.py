"""When the radio is free, and what a missing reply shows of the link."""

from dataclasses import replace
from typing import Any

import pytest

from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.in_flight import InFlight, Sent
from offload_perception.planning.link import LinkEstimator

NEAR, FAR = '/near', '/far'
S_PER_BYTE = {NEAR: 1e-5, FAR: 1e-4}


def sent(nbytes: int = 10_000, ready_s: float = 0.0, server: Any = NEAR,
         server_s: float = 0.1) -> Sent:
    decision = Decision(Option(0, 'raw', server), 0.1, 0.0, 1.0, 0.0, 1.0, True, '')
    return Sent(decision, nbytes, ready_s, server_s)


def out(*frames: Sent) -> InFlight:
    flight = InFlight()
    for frame in frames:
        flight.add(frame)
    return flight


@pytest.mark.parametrize(('frames', 'busy_s'), [
    ((), 0.0), ((sent(),), 0.1), ((sent(server=FAR),), 1.0),
    ((sent(), sent(ready_s=0.02)), 0.2),  # one after the other
    ((sent(), sent(ready_s=0.5)), 0.6), ((sent(ready_s=-5.0),), 0.0),
    ((sent(server='/unknown'),), 0.0)])
def test_the_radio_sends_one_frame_after_the_other(frames: tuple[Sent, ...],
                                                   busy_s: float) -> None:
    assert out(*frames).radio_busy_s(S_PER_BYTE, 0.0) == pytest.approx(busy_s)


def test_what_has_ended_is_forgotten_and_no_other_frame_that_was_decided_alike() -> None:
    one, two = sent(), sent()
    flight = out(one, two)
    assert flight.remove(one.decision) is one and flight.remove(one.decision) is None
    assert flight.remove(None) is None and flight.remove(replace(two.decision)) is None
    assert flight.radio_busy_s(S_PER_BYTE, 0.0) == pytest.approx(0.1)


def test_a_reply_that_link_and_server_do_not_explain_makes_the_link_slow() -> None:
    link = LinkEstimator.known(1e5, 0.01, 0.05)  # 0.11 s for 10 kB
    flight = out(sent(server_s=0.3))
    expected_s, spread_s = link.time(10_000, 0.0)
    due_s = 0.3 + expected_s + 2.0 * spread_s
    assert flight.slowdown(NEAR, link, due_s - 0.001) == 1.0
    assert flight.slowdown(NEAR, link, due_s + 0.001) == pytest.approx(
        2.0 * (due_s + 0.001 - 0.3) / expected_s)
    assert flight.slowdown(FAR, link, 9.0) == 1.0
