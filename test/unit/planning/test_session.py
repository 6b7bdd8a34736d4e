"""The planner online: its plans, and what it learns from frames, probes, servers and the meter."""

from dataclasses import fields, replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from offload_perception.errors import PlanError
from offload_perception.frames import DropReason, Frame, Outcome, Stages
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.link import MESSAGE_BYTES
from offload_perception.planning.probing import Probe
from offload_perception.planning.route import ServerReport
from offload_perception.planning.session import PlanningSession
from offload_perception.profiles.device_profile import DeviceProfile, Radio

SERVER = '/server'
DEADLINE_S = 3.0


@pytest.fixture
def session(shape: NetworkShape, coral: DeviceProfile) -> PlanningSession:
    session = PlanningSession(shape, replace(coral, radio=Radio(1.3, 2e-6)))
    announce(session, 0.0)
    return session


def announce(session: PlanningSession, now_s: float, wait_s: float = 0.01,
             server: str = SERVER) -> None:
    session.observe_server(ServerReport(server, wait_s, (0.1,)), now_s)


def answered(session: PlanningSession, decision: Decision, *, bandwidth: float = 1e6,
             round_trip_s: float = 0.01, slowdown: float = 1.0) -> FrameReport:
    """Return the report of a frame that went as a link of that bandwidth lets it."""
    head_s = slowdown * float(session.profile.head_s[decision.cut])
    if decision.option.local:
        return FrameReport(decision.cut, '', '', Outcome.LOCAL, queue_s=0.0, preprocess_s=0.001,
                           head_s=head_s, total_s=0.001 + head_s)
    nbytes = int(session.sizes.column(decision.cut, decision.codec)[0])
    link_s, tail_s = round_trip_s + (nbytes + MESSAGE_BYTES) / bandwidth, 0.1
    return FrameReport(
        decision.cut, decision.codec, decision.server, Outcome.REMOTE, queue_s=0.0,
        preprocess_s=0.001, head_s=head_s, encode_s=0.001, link_s=link_s, wait_s=0.01,
        decode_s=0.001, tail_s=tail_s, nbytes=nbytes,
        total_s=0.001 + head_s + 0.001 + link_s + 0.01 + 0.001 + tail_s)


def ended(decision: Decision, outcome: Outcome, reason: str = '', **changes: Any) -> FrameReport:
    return replace(FrameReport(decision.cut, decision.codec, SERVER, outcome, reason, queue_s=0.0,
                               preprocess_s=0.001, total_s=1.0, nbytes=5000,
                               trouble='another model'), **changes)


def unanswered(decision: Decision) -> FrameReport:
    return ended(decision, Outcome.DROPPED, DropReason.TIMEOUT.value)


def fly(session: PlanningSession, start_s: float, frames: int, *, deadline_s: float = DEADLINE_S,
        **link: Any) -> Decision:
    """Fly frames at 2 Hz, so that each is answered before the next."""
    for i in range(frames):
        now_s = start_s + 0.5 * i
        announce(session, now_s)
        decision = session.plan(now_s, deadline_s)
        report = answered(session, decision, **link)
        session.observe_frame(report, now_s + report.total_s, decision)
        if (probe := session.probe(now_s + 0.4, decision)) is not None:
            seconds = link.get('round_trip_s', 0.01) + (
                probe.nbytes + MESSAGE_BYTES) / link.get('bandwidth', 1e6)
            session.observe_probe(probe, now_s + 0.4 + seconds, seconds if seconds < 1 else None)
    return decision


def sent(session: PlanningSession, now_s: float, cut: int = 6, codec: str = 'auto') -> Decision:
    """Return a decision to send a frame."""
    return replace(session.plan(now_s, DEADLINE_S), option=Option(cut, codec, SERVER),
                   hedge_s=inf)


def local_s(session: PlanningSession, now_s: float) -> float:
    return float(session.forecast(now_s).latency_s[0])


def test_without_a_server_all_runs_on_board(shape: NetworkShape, coral: DeviceProfile) -> None:
    decision = PlanningSession(shape, coral).plan(0.0, DEADLINE_S)
    assert decision.option.local and decision.runnable


def test_pi_alone_without_a_server_can_run_nothing(shape: NetworkShape, pi: DeviceProfile) -> None:
    decision = PlanningSession(shape, pi).plan(0.0, DEADLINE_S)
    assert not decision.runnable and 'does not fit on board' in decision.reason


def test_good_link_sends_the_image_and_a_bad_one_does_not(session: PlanningSession) -> None:
    assert fly(session, 0.0, 30, bandwidth=1e6).cut == 0
    assert fly(session, 15.0, 60, bandwidth=1500.0).cut >= 16


def test_recovery_is_noticed_while_on_board(session: PlanningSession) -> None:
    fly(session, 0.0, 30, bandwidth=1e6)
    assert fly(session, 15.0, 40, bandwidth=1500.0).option.local
    assert fly(session, 35.0, 40, bandwidth=1e6).cut == 0


def test_forecast_becomes_true(session: PlanningSession) -> None:
    fly(session, 0.0, 100, bandwidth=2e5)
    assert session.latency_error.mape < 0.05


def test_throttling_moves_the_forecast(session: PlanningSession) -> None:
    fly(session, 0.0, 30, bandwidth=50.0)
    fly(session, 15.0, 30, bandwidth=50.0, slowdown=1.5)
    assert session.slowdown == pytest.approx(1.5, rel=0.1)


def test_a_server_that_is_back_is_used_within_five_seconds(session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    for now_s in (15.0, 15.2, 15.4, 15.6):
        session.observe_frame(unanswered(decision), now_s, decision)
    assert session.lost == (SERVER,)
    back_s = None
    for i in range(60):
        now_s = 15.8 + 0.2 * i
        if not 16.0 < now_s < 20.0:
            announce(session, now_s)
        decision = session.plan(now_s, DEADLINE_S)
        if (probe := session.probe(now_s, decision)) is not None:
            session.observe_probe(probe, now_s, 0.02 if now_s > 20.0 else None)
        if back_s is None and now_s > 20.0 and decision.server:
            back_s = now_s
    assert back_s is not None and back_s < 21.0
    session.observe_probe(Probe(SERVER, 32, 0.0), 30.0, 0.011)
    assert not session.lost


def test_a_silent_server_that_is_heard_again_is_probed_at_once(session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    for now_s in (15.0, 15.2):
        session.observe_frame(unanswered(decision), now_s, decision)
    stay = replace(decision, option=Option(session.shape.last))
    assert session.probe(40.0, stay) and not session.probe(40.01, stay)
    announce(session, 40.02)
    assert session.probe(40.03, stay)
    announce(session, 40.04)  # it was not silent
    assert not session.probe(40.05, stay)


def test_stale_server_is_left(session: PlanningSession) -> None:
    assert session.plan(1.0, DEADLINE_S).server == SERVER
    assert session.plan(20.0, DEADLINE_S).option.local


@pytest.mark.parametrize('outcome', [Outcome.LOCAL, Outcome.DROPPED])
def test_a_busy_server_is_left_for_a_moment_and_is_no_lost_link(session: PlanningSession,
                                                                outcome: Outcome) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    known = session.forecast(15.0).routes[SERVER][:2]
    for now_s in (15.0, 15.1, 15.2):
        session.observe_frame(ended(decision, outcome, DropReason.BUSY.value), now_s, decision)
    assert session.plan(15.3, DEADLINE_S).option.local and not session.lost
    announce(session, 17.0)
    assert session.plan(17.0, DEADLINE_S).server == SERVER
    np.testing.assert_allclose(session.forecast(15.0).routes[SERVER][:2], known)


def test_a_refusal_that_tells_the_wait_keeps_frames_back_for_that_long(
        session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    report = replace(ended(decision, Outcome.LOCAL, DropReason.BUSY.value), refused_wait_s=0.2)
    session.observe_frame(report, 15.0, decision)
    assert session.plan(15.1, DEADLINE_S).option.local and not session.lost
    assert session.plan(15.25, DEADLINE_S).server == SERVER


def test_server_with_another_model_is_refused(shape: NetworkShape, coral: DeviceProfile) -> None:
    session = PlanningSession(replace(shape, digest='a' * 64), coral)
    with pytest.raises(PlanError, match='same model'):
        session.observe_server(ServerReport(SERVER, 0.0), 0.0, digest='b' * 64)
    assert session.plan(0.0, 1.0).option.local


def test_restarted_server_with_another_model_is_not_used_until_it_has_the_right_one(
        shape: NetworkShape, coral: DeviceProfile) -> None:
    session = PlanningSession(replace(shape, digest='a' * 64), coral)
    report = ServerReport(SERVER, 0.01, (0.1,))
    session.observe_server(report, 0.0, digest='a' * 64)
    decision = session.plan(0.1, DEADLINE_S)
    assert decision.server == SERVER
    with pytest.raises(PlanError, match='same model'):
        session.observe_server(report, 1.0, digest='b' * 64)
    session.observe_frame(ended(decision, Outcome.LOCAL, DropReason.REFUSED.value), 1.0, decision)
    session.observe_backlog(SERVER, 11.0, 0.0)
    assert session.plan(11.0, DEADLINE_S).option.local
    assert 'same model' in session.backing_off(11.0)[SERVER]
    session.observe_server(report, 11.1, digest='a' * 64)
    assert session.plan(11.2, DEADLINE_S).server == SERVER and not session.backing_off(11.2)


def test_less_loaded_server_is_preferred(session: PlanningSession) -> None:
    announce(session, 0.0, 0.0, '/idle')
    announce(session, 0.0, wait_s=5.0)
    assert session.plan(0.1, 2.0).server == '/idle'


def test_profile_of_another_network_is_refused(coral: DeviceProfile) -> None:
    with pytest.raises(PlanError, match='characterize'):
        PlanningSession(NetworkShape.preset('vgg16'), coral)


def test_time_that_a_frame_has_waited_counts(session: PlanningSession) -> None:
    at_once, later = (session.forecast(0.1, waited_s).latency_s for waited_s in (0.0, 0.5))
    np.testing.assert_allclose(later - at_once, 0.5)
    assert session.plan(0.1, DEADLINE_S, 0.5).waited_s == 0.5


def test_backlog_that_a_beat_tells_counts_and_gets_older(session: PlanningSession) -> None:
    fly(session, 0.0, 30, bandwidth=1e6)
    announce(session, 15.0)
    assert session.plan(15.0, DEADLINE_S).wait_s == pytest.approx(0.01)
    session.observe_backlog(SERVER, 15.1, 0.5)
    assert session.plan(15.1, DEADLINE_S).wait_s == pytest.approx(0.5)
    assert session.plan(15.3, DEADLINE_S).wait_s == pytest.approx(0.3)


def test_beat_of_an_unknown_server_is_ignored(session: PlanningSession) -> None:
    session.observe_backlog('/other', 0.1, 9.0)
    assert set(session.forecast(0.2).routes) == {SERVER}


def test_the_period_of_the_camera_counts(session: PlanningSession) -> None:
    fly(session, 0.0, 30, bandwidth=50.0)
    board_s = float(session.profile.head_s[-1])
    slow = session.plan(15.0, 0.0)
    assert slow.option.local and session.period_s == 0.0
    for _ in range(5):
        session.observe_period(board_s / 4)
    assert session.period_s == pytest.approx(board_s / 4)
    assert '75% of the frames' in session.plan(15.0, 0.0).reason


def test_one_miss_halves_the_hope_and_any_answer_restores_it(session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    announce(session, 15.0)
    sure_j = session.plan(15.0, DEADLINE_S).energy_j
    session.observe_frame(unanswered(decision), 15.0, decision)
    doubted = session.plan(15.1, DEADLINE_S)
    assert doubted.energy_j > sure_j + 0.4 * float(session.profile.head_j[-1]) or \
        doubted.option.local
    session.observe_probe(Probe(SERVER, 32, 0.0), 15.2, 0.0105)
    assert session.plan(15.2, DEADLINE_S).energy_j == pytest.approx(sure_j, rel=0.1)


@pytest.mark.parametrize('answer', ['reply', 'late reply', 'busy server', 'refusal', 'probe',
                                    None])
def test_any_answer_between_two_misses_keeps_the_server(session: PlanningSession,
                                                        answer: str | None) -> None:
    fly(session, 0.0, 30, bandwidth=1e6)
    decision = sent(session, 15.0, 0, 'raw')
    reply = answered(session, decision)
    session.observe_frame(unanswered(decision), 15.0)
    if answer == 'reply':
        session.observe_frame(reply, 15.3)
    elif answer == 'late reply':
        session.observe_late(replace(reply, outcome=Outcome.LOCAL), 15.3)
    elif answer in ('busy server', 'refusal'):
        reason = DropReason.BUSY if answer == 'busy server' else DropReason.REFUSED
        session.observe_frame(replace(reply, outcome=Outcome.DROPPED, reason=reason.value), 15.3)
    elif answer == 'probe':
        session.observe_probe(Probe(SERVER, 64, 0.0), 15.3, 0.011)
    session.observe_frame(unanswered(decision), 15.5)
    assert bool(session.lost) is (answer is None)


def test_two_probes_without_an_answer_lose_the_server(session: PlanningSession) -> None:
    for now_s in (1.0, 2.0):
        assert not session.lost
        session.observe_probe(Probe(SERVER, 64, 0.0), now_s, None)
    assert session.lost == (SERVER,)


@pytest.mark.parametrize('link_s', [nan, inf, -inf])
def test_an_answer_to_a_probe_that_cannot_be_is_none(session: PlanningSession,
                                                     link_s: float) -> None:
    known = session._routes[SERVER].link.coefficients(0.2)
    session.observe_probe(Probe(SERVER, 64, 0.0), 0.3, link_s)
    session.observe_probe(Probe('/nobody', 64, 0.0), 0.3, 0.1)
    assert session._routes[SERVER].link.coefficients(0.2) == known and not session.lost


OTHERWISE = [(Outcome.LOCAL, ''), (Outcome.LOCAL, DropReason.REFUSED.value),
             (Outcome.DROPPED, DropReason.TIMEOUT.value),
             (Outcome.DROPPED, DropReason.REFUSED.value),
             (Outcome.DROPPED, DropReason.SERVER_FAILED.value)]


@pytest.mark.parametrize(('outcome', 'reason'), OTHERWISE)
def test_a_frame_that_went_otherwise_than_decided_is_no_error_and_no_overhead(
        session: PlanningSession, outcome: Outcome, reason: str) -> None:
    decision = sent(session, 0.1)
    for _ in range(20):
        session.observe_frame(ended(decision, outcome, reason), 0.2, decision)
    assert np.isnan(session.latency_error.mape)
    assert local_s(session, 0.2) == pytest.approx(float(session.profile.head_s[-1]) + 0.001)


@pytest.mark.parametrize(('outcome', 'reason'), OTHERWISE[1:2] + OTHERWISE[3:])
def test_a_refusal_teaches_the_link_and_the_tails_nothing(session: PlanningSession,
                                                          outcome: Outcome, reason: str) -> None:
    decision, route = sent(session, 0.1), session._routes[SERVER]
    known = route.link.coefficients(0.2), route.wait(0.2), *map(tuple, route.tails())
    for took_s in (nan, 9.0):  # what a server that refuses says of its stages is no measure
        session.observe_frame(ended(decision, outcome, reason, link_s=took_s, wait_s=took_s,
                                    decode_s=took_s, tail_s=took_s), 0.2, decision)
    assert (route.link.coefficients(0.2), route.wait(0.2), *map(tuple, route.tails())) == known


@pytest.mark.parametrize('outcome', [Outcome.LOCAL, Outcome.DROPPED])
def test_nobody_who_listens_teaches_the_link_nothing(session: PlanningSession,
                                                     outcome: Outcome) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    known = session.forecast(15.0).routes[SERVER][:2]
    for i in range(4):
        session.observe_frame(ended(decision, outcome, DropReason.NO_SERVER.value, nbytes=0),
                              15.0 + 0.1 * i, decision)
    assert session.plan(15.4, DEADLINE_S).option.local and not session.lost
    np.testing.assert_allclose(session.forecast(15.0).routes[SERVER][:2], known)
    announce(session, 17.0)
    assert session.plan(17.0, DEADLINE_S).server == SERVER


@pytest.mark.parametrize('reason', [DropReason.REFUSED, DropReason.SERVER_FAILED])
@pytest.mark.parametrize('outcome', [Outcome.LOCAL, Outcome.DROPPED])
def test_server_that_rejects_frames_is_paused_for_longer_and_longer(
        session: PlanningSession, reason: DropReason, outcome: Outcome) -> None:
    fly(session, 0.0, 30, bandwidth=1e6)
    tried = []
    for i in range(640):  # 64 s of a server that turns everything away
        now_s = 15.0 + 0.1 * i
        announce(session, now_s)
        decision = session.plan(now_s, DEADLINE_S)
        if not decision.option.local:
            tried.append(now_s)
            session.observe_frame(ended(decision, outcome, reason.value), now_s, decision)
            assert session.backing_off(now_s) == {SERVER: 'another model'}
    assert 5 <= len(tried) <= 7, tried
    assert not session.lost  # it answers
    session.observe_frame(answered(session, sent(session, 80.0)), 80.0)
    assert not session.backing_off(80.0)


def test_the_link_to_a_new_server_is_guessed_from_a_known_one(session: PlanningSession) -> None:
    fly(session, 0.0, 60, bandwidth=5e4, round_trip_s=0.03)
    announce(session, 30.0, server='/second')
    first, second = (session._routes[name].link for name in (SERVER, '/second'))
    assert (second.bandwidth, second.round_trip_s) == pytest.approx(
        (first.bandwidth, first.round_trip_s))
    assert first.bandwidth != pytest.approx(3e5, rel=0.3)


def test_time_around_the_stages_is_learned(session: PlanningSession) -> None:
    for i in range(20):
        decision = session.plan(0.2 * i, DEADLINE_S)
        report = answered(session, decision)
        session.observe_frame(replace(report, total_s=report.total_s + 0.05), 0.2 * i, decision)
    assert local_s(session, 5.0) == pytest.approx(
        float(session.profile.head_s[-1]) + 0.051, rel=0.01)


def on_board_j(session: PlanningSession) -> float:
    return float(session.forecast(0.1).energy_j[0])


def test_metered_energy_of_frames_on_board_corrects_the_heads(session: PlanningSession) -> None:
    last, known_j = session.shape.last, on_board_j(session)
    report = FrameReport(last, '', '', Outcome.LOCAL, total_s=1.0)
    for _ in range(20):
        session.observe_energy(report, 1.5 * known_j)
    assert on_board_j(session) == pytest.approx(1.5 * known_j, rel=0.05)
    session.observe_energy(replace(report, server=SERVER), 9.0 * known_j)  # finished by its hedge
    assert on_board_j(session) == pytest.approx(1.5 * known_j, rel=0.05)


def test_metered_energy_of_frames_that_were_sent_corrects_the_radio(
        session: PlanningSession) -> None:
    fly(session, 0.0, 30, bandwidth=1e5)
    decision = sent(session, 15.0, 0, 'raw')
    report = answered(session, decision, bandwidth=1e5)
    radio = session.profile.radio
    route = session._routes[SERVER]
    sent_j = radio.energy_j(report.link_s - route.link.round_trip_s,
                            report.nbytes + MESSAGE_BYTES)
    at = session.forecast(15.0).options.place(decision.option)
    before_j = float(session.forecast(15.0).energy_j[at])
    for _ in range(30):
        session.observe_energy(report, 2.0 * sent_j + session.profile.active_w * report.encode_s,
                               decision)
    assert session.forecast(15.0).energy_j[at] == pytest.approx(2.0 * before_j, rel=0.1)
    assert session.energy_error.count == 30


def test_energy_of_a_frame_whose_hedge_had_begun_teaches_the_radio_nothing(
        session: PlanningSession) -> None:
    decision = replace(sent(session, 0.1, 0, 'raw'), hedge_s=0.1)
    before = session._forecaster.radio.level
    session.observe_energy(answered(session, decision), 99.0, decision)
    assert session._forecaster.radio.level == before


@pytest.mark.parametrize('value', [nan, inf, -1.0, 0.0, 1e300])
def test_absurd_frames_are_survived(session: PlanningSession, value: float) -> None:
    durations: dict[str, Any] = {f.name: value for f in fields(FrameReport)
                                 if f.name.endswith('_s')}
    for _ in range(5):
        for report in (FrameReport(3, 'auto', SERVER, Outcome.REMOTE, nbytes=100, **durations),
                       unanswered(session.plan(0.1, 1.0))):
            session.observe_frame(report, value, session.plan(0.1, 1.0))
            session.observe_energy(report, value)
    session.observe_period(value)
    session.observe_backlog(SERVER, 0.1, value)
    decision = session.plan(0.2, value)
    assert np.isfinite(decision.latency_s) and np.isfinite(decision.energy_j) and decision.runnable


def test_report_of_a_pipeline_frame() -> None:
    frame = Frame(1, 0.0, None, None, split=3, codec='auto', server=SERVER, encoded_bytes=100,
                  sent=True, outcome=Outcome.DROPPED, reason=DropReason.TIMEOUT.value,
                  stages=Stages(queue=0.1, preprocess=0.2, head=0.3, encode=0.1, total=2.0))
    report = FrameReport.of(frame)
    assert report.unanswered and not report.overloaded and not report.rejected
    hedged = replace(frame, outcome=Outcome.LOCAL, reason='')
    assert FrameReport.of(hedged).unanswered
    refused = FrameReport.of(replace(hedged, remote_failure=DropReason.REFUSED))
    assert refused.rejected and not refused.unanswered
    busy = FrameReport.of(replace(hedged, remote_failure=DropReason.BUSY))
    assert busy.overloaded and not busy.unanswered
