"""What a session learns from the end of a frame or a probe, and what it must not."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from offload_perception.frames import DropReason, Outcome
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.probing import Probe
from offload_perception.planning.server_estimate import ServerReport
from offload_perception.planning.session import PlanningSession
from offload_perception.profiles.device_profile import DeviceProfile, Radio

SERVER = '/server'
LONG_S = 9.0  # of what a server has taken, or a frame has waited for it


@pytest.fixture
def session(shape: NetworkShape, coral: DeviceProfile) -> PlanningSession:
    session = PlanningSession(shape, replace(coral, radio=Radio(1.3, 2e-6)),
                              PlannerSettings(explore_every=0))
    session.observe_server(ServerReport(SERVER, 0.02, 0.1, (0.1,)), 0.0)
    return session


def decided(session: PlanningSession, cut: int = 6, codec: str = 'auto') -> Decision:
    """Return a decision to send a frame that would otherwise be planned at 0.1 s."""
    return replace(session.plan(0.1, 3.0), option=Option(cut, codec, SERVER))


def ended(decision: Decision, outcome: Outcome, reason: str = '', **changes: Any) -> FrameReport:
    """Return a frame that was sent and whose whole took long."""
    return replace(FrameReport(decision.cut, decision.codec, SERVER, outcome, reason, queue_s=0.0,
                               preprocess_s=0.001, total_s=LONG_S, nbytes=5000), **changes)


OTHERWISE = [(Outcome.LOCAL, ''), (Outcome.LOCAL, DropReason.REFUSED.value),
             (Outcome.DROPPED, DropReason.TIMEOUT.value),
             (Outcome.DROPPED, DropReason.REFUSED.value),
             (Outcome.DROPPED, DropReason.SERVER_FAILED.value)]


@pytest.mark.parametrize(('outcome', 'reason'), OTHERWISE)
def test_a_frame_that_went_otherwise_than_decided_is_no_error_and_no_overhead(
        session: PlanningSession, outcome: Outcome, reason: str) -> None:
    decision, before_s = decided(session), session.forecast(0.2).latency_s[0]
    for _ in range(20):
        session.observe_frame(ended(decision, outcome, reason), 0.2, decision)
    assert np.isnan(session.latency_error.mape)
    assert session.forecast(0.2).latency_s[0] == pytest.approx(before_s + 0.001)  # preprocessing


@pytest.mark.parametrize(('outcome', 'reason'), OTHERWISE[1:2] + OTHERWISE[3:])
def test_a_refusal_teaches_the_link_and_the_tails_nothing(session: PlanningSession,
                                                          outcome: Outcome, reason: str) -> None:
    decision, route = decided(session), session._routes[SERVER]
    known = route.link.coefficients(0.2), route.load.wait(0.2), *map(tuple, route.load.tails())
    for took_s in (nan, LONG_S):  # what a server that refuses says of its stages is no measure
        session.observe_frame(ended(decision, outcome, reason, link_s=took_s, wait_s=took_s,
                                    decode_s=took_s, tail_s=took_s), 0.2, decision)
    assert (route.link.coefficients(0.2), route.load.wait(0.2),
            *map(tuple, route.load.tails())) == known


@pytest.mark.parametrize(('outcome', 'server', 'learned'), [
    (Outcome.LOCAL, '', True), (Outcome.LOCAL, SERVER, False), (Outcome.REMOTE, SERVER, False)])
def test_only_the_energy_of_what_ran_on_board_alone_is_that_of_the_head(
        session: PlanningSession, outcome: Outcome, server: str, learned: bool) -> None:
    last, known = session.shape.last, session.head.energies()[0]
    report = ended(decided(session, 14), outcome, cut=last if not server else 14, server=server)
    for _ in range(20):
        session.observe_energy(report, 2.0 * known[report.cut])
    factor = session.head.energies()[0][1:] / known[1:]
    assert factor == pytest.approx(2.0 if learned else 1.0, rel=0.05)


def test_the_energy_of_a_head_is_learned_where_it_is_known_apart(session: PlanningSession) -> None:
    known = session.head.energies()[0]
    report = ended(decided(session, 14), Outcome.REMOTE)
    for _ in range(20):
        session.observe_energy(report, LONG_S, head_j=1.5 * known[14])
    assert session.head.energies()[0][1:] / known[1:] == pytest.approx(1.5, rel=0.05)


def test_a_frame_that_is_out_is_ready_after_its_head_and_due_after_its_tail(
        session: PlanningSession) -> None:
    decision = decided(session, 14)
    _, _, encode_s, *_ = session.sizes.column(14, 'auto')
    load, head_s = session._routes[SERVER].load, session.head.times()[0][14]
    session.observe_start(decision, 0.5)
    wait_s, wait_sd = load.wait(0.5)
    sent = session._in_flight.remove(decision)
    assert sent.ready_s == pytest.approx(0.5 + head_s + encode_s)
    assert sent.server_s == pytest.approx(wait_s + 2.0 * wait_sd + load.tails()[0][14])
    assert min(head_s, encode_s, wait_s, wait_sd) > 1e-5


def test_a_lost_server_is_not_used_however_good_its_link_was(session: PlanningSession) -> None:
    assert session.plan(0.1, 3.0).server == SERVER
    session.observe_link_lost()
    assert session.plan(0.1, 3.0).option.local
    assert not session.forecast(0.1).usable[1:].any()


def test_the_link_to_a_new_server_is_guessed_from_a_known_one(session: PlanningSession) -> None:
    decision = decided(session)
    for n in range(30):
        nbytes = 2000 + 1000 * (n % 3)
        session.observe_frame(ended(
            decision, Outcome.REMOTE, link_s=0.03 + nbytes / 5e4, wait_s=0.02, decode_s=0.001,
            tail_s=0.1, nbytes=nbytes), 0.1 * n, decision)
    session.observe_server(ServerReport('/second', 0.0), 3.0)
    first, second = (session._routes[name].link for name in (SERVER, '/second'))
    assert (second.bandwidth, second.round_trip_s) == pytest.approx(
        (first.bandwidth, first.round_trip_s))
    assert first.bandwidth == pytest.approx(5e4, rel=0.3)


@pytest.fixture
def probe(session: PlanningSession) -> Probe:
    """A probe of the server while frames stay on board."""
    staying = replace(session.plan(0.1, 3.0), option=Option(session.shape.last), energy_j=1.0,
                      runner_up_energy_j=9.0)
    probe = session.probe(0.2, staying)
    assert probe is not None
    return probe


def test_a_probe_costs_the_time_of_its_bytes_and_the_bytes(session: PlanningSession,
                                                           probe: Probe) -> None:
    assert session._prober.spent_j == probe.energy_j > 0.0
    round_trip_s = session._routes[SERVER].link.round_trip_s
    sending_s = 0.1 * probe.nbytes * session._routes[SERVER].link.s_per_byte
    session.observe_probe(probe, 0.3, round_trip_s + sending_s)
    assert session._prober.spent_j == pytest.approx(1.3 * sending_s + 2e-6 * probe.nbytes)


def test_a_probe_that_was_not_sent_costs_nothing(session: PlanningSession, probe: Probe) -> None:
    session.take_back_probe(probe)
    assert session._prober.spent_j == 0.0


@pytest.mark.parametrize('link_s', [nan, inf, -inf])
def test_an_answer_to_a_probe_that_cannot_be_is_none(session: PlanningSession, probe: Probe,
                                                     link_s: float) -> None:
    decision, known = decided(session), session.forecast(0.2).routes
    timeout = ended(decision, Outcome.DROPPED, DropReason.TIMEOUT.value, total_s=0.001)
    session.observe_frame(timeout, 0.2)
    session.observe_probe(probe, 0.3, link_s)
    assert session._prober.spent_j == probe.energy_j
    assert session.forecast(0.2).routes[SERVER][:2] == pytest.approx(known[SERVER][:2],
                                                                     nan_ok=True)
    session.observe_frame(timeout, 0.4)
    assert session.lost == (SERVER,)
