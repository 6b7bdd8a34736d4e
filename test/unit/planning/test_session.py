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
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.probing import Probe
from offload_perception.planning.server_estimate import ServerReport
from offload_perception.planning.session import PlanningSession
from offload_perception.profiles.device_profile import DeviceProfile

SERVER = '/server'
BULKY = Option(1, 'raw', SERVER)


@pytest.fixture
def session(shape: NetworkShape, coral: DeviceProfile) -> PlanningSession:
    session = PlanningSession(shape, coral, PlannerSettings(explore_every=0))
    announce(session, 0.0)
    return session


def announce(session: PlanningSession, now_s: float, wait_s: float = 0.01) -> None:
    session.observe_server(ServerReport(SERVER, wait_s, 0.1, (0.1,)), now_s)


def answered(session: PlanningSession, decision: Decision, now_s: float, *, bandwidth: float = 1e6,
             round_trip_s: float = 0.01, slowdown: float = 1.0) -> FrameReport:
    """Return the report of a frame that went as a link of that bandwidth lets it."""
    head_s = slowdown * float(session.profile.head_s[decision.cut])
    if decision.option.local:
        return FrameReport(decision.cut, '', '', Outcome.LOCAL, queue_s=0.0, preprocess_s=0.001,
                           head_s=head_s, total_s=0.001 + head_s)
    nbytes = int(session.sizes.column(decision.cut, decision.codec)[0])
    link_s, tail_s = round_trip_s + nbytes / bandwidth, 0.1
    return FrameReport(
        decision.cut, decision.codec, decision.server, Outcome.REMOTE, queue_s=0.0,
        preprocess_s=0.001, head_s=head_s, encode_s=0.001, link_s=link_s, wait_s=0.01,
        decode_s=0.001, tail_s=tail_s, nbytes=nbytes,
        total_s=0.001 + head_s + 0.001 + link_s + 0.01 + 0.001 + tail_s)


def unanswered(decision: Decision, waited_s: float = 1.0) -> FrameReport:
    return FrameReport(decision.cut, decision.codec, decision.server, Outcome.DROPPED,
                       DropReason.TIMEOUT.value, queue_s=0.0, preprocess_s=0.001, head_s=0.001,
                       encode_s=0.001, total_s=waited_s, nbytes=5000)


def fly(session: PlanningSession, start_s: float, frames: int, **link: Any) -> Decision:
    decision = None
    for i in range(frames):
        now_s = start_s + 0.2 * i
        announce(session, now_s)
        decision = session.plan(now_s, 3.0)
        session.observe_frame(answered(session, decision, now_s, **link), now_s, decision)
        if (probe := session.probe(now_s, decision)) is not None:
            session.observe_probe(probe, now_s, link.get('round_trip_s', 0.01)
                                  + probe.nbytes / link['bandwidth'])
    assert decision is not None
    return decision


def sent_probe(session: PlanningSession, now_s: float, decision: Decision) -> Probe:
    probe = session.probe(now_s, decision)
    assert probe is not None
    return probe


def beat(session: PlanningSession, start_s: float, count: int = 1, *, late_s: float = 0.0,
         wait_s: float = 0.01, server: str = SERVER) -> float:
    """Let a server's beats come, ten a second; return when the last has been heard."""
    for i in range(count):
        sent_s = start_s + 0.1 * i
        session.observe_beat(server, sent_s + 0.002 + late_s, clock_s=sent_s - 300.0,
                             period_s=0.1, wait_s=wait_s)
    return sent_s + 0.002 + late_s


@pytest.fixture
def flown(session: PlanningSession) -> PlanningSession:
    """Return a session that has sent frames over a good link until 6 s and heard beats."""
    fly(session, 0.0, 30, bandwidth=1e6)
    beat(session, 0.05, 60)
    return session


def remote_s(session: PlanningSession, now_s: float) -> float:
    """Return the forecast time of the option that sends most."""
    announce(session, now_s)
    forecast = session.forecast(now_s)
    return forecast.latency_s[forecast.options.place(BULKY)]


def test_without_a_server_all_runs_on_board(shape: NetworkShape, coral: DeviceProfile) -> None:
    decision = PlanningSession(shape, coral).plan(0.0, 3.0)
    assert decision.option.local and decision.runnable


def test_pi_alone_without_a_server_can_run_nothing(shape: NetworkShape, pi: DeviceProfile) -> None:
    decision = PlanningSession(shape, pi).plan(0.0, 3.0)
    assert not decision.runnable and 'does not fit on board' in decision.reason


def test_good_link_sends_the_image_and_a_bad_one_does_not(session: PlanningSession) -> None:
    assert fly(session, 0.0, 30, bandwidth=1e6).cut == 0
    assert fly(session, 6.0, 60, bandwidth=1500.0).cut >= 16


def test_recovery_is_noticed_while_on_board(session: PlanningSession) -> None:
    fly(session, 0.0, 30, bandwidth=1e6)
    assert fly(session, 6.0, 100, bandwidth=1500.0).option.local
    assert fly(session, 26.0, 100, bandwidth=1e6).cut == 0


def test_forecast_becomes_true(session: PlanningSession) -> None:
    fly(session, 0.0, 200, bandwidth=2e5)
    assert session.latency_error.mape < 0.05


def test_throttling_moves_the_forecast(session: PlanningSession) -> None:
    fly(session, 0.0, 30, bandwidth=50.0)
    fly(session, 6.0, 30, bandwidth=50.0, slowdown=1.5)
    assert session.head.slowdown == pytest.approx(1.5, rel=0.05)


def test_two_misses_lose_the_server_and_two_probes_restore_it(session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    for now_s in (6.0, 6.2):
        session.observe_frame(unanswered(decision), now_s)
    assert session.lost == (SERVER,)
    decision = session.plan(6.4, 3.0)
    assert decision.option.local
    back_s = None
    for i in range(30):
        now_s = 6.4 + 0.2 * i
        announce(session, now_s)
        if (probe := session.probe(now_s, decision)) is not None:
            session.observe_probe(probe, now_s, 0.02 if now_s > 8.0 else None)
        if back_s is None and not session.plan(now_s, 3.0).option.local:
            back_s = now_s
    assert back_s is not None and 8.0 < back_s < 13.0  # within 5 s of the link's return


def test_lost_server_is_not_flooded_with_probes(session: PlanningSession) -> None:
    session.observe_link_lost()
    decision = session.plan(0.0, 3.0)
    probes = [session.probe(0.01 * i, decision) for i in range(1000)]
    assert 10 <= sum(p is not None for p in probes) <= 16  # in 10 s, the first ones sooner


def test_link_reported_back_is_probed_at_once(session: PlanningSession) -> None:
    session.observe_link_lost()
    decision = session.plan(0.0, 3.0)
    assert session.probe(0.0, decision) is not None
    assert session.probe(0.1, decision) is None
    session.observe_link_back()
    assert session.probe(0.2, decision) is not None


def test_stale_server_is_left(session: PlanningSession) -> None:
    assert session.plan(1.0, 3.0).server == SERVER
    assert session.plan(20.0, 3.0).option.local


def test_busy_server_is_left_for_a_moment(session: PlanningSession) -> None:
    decision = session.plan(0.1, 3.0)
    session.observe_frame(FrameReport(0, decision.codec, SERVER, Outcome.DROPPED,
                                      DropReason.BUSY.value, nbytes=5000), 0.2)
    assert session.plan(0.3, 3.0).option.local
    announce(session, 2.0)
    assert session.plan(2.0, 3.0).server == SERVER


def test_server_with_another_model_is_refused(shape: NetworkShape, coral: DeviceProfile) -> None:
    session = PlanningSession(replace(shape, digest='a' * 64), coral)
    with pytest.raises(PlanError, match='same model'):
        session.observe_server(ServerReport(SERVER, 0.0), 0.0, digest='b' * 64)
    assert session.plan(0.0, 1.0).option.local


def test_less_loaded_server_is_preferred(session: PlanningSession) -> None:
    session.observe_server(ServerReport('/idle', 0.0, 0.0, (0.1,)), 0.0)
    announce(session, 0.0, wait_s=5.0)
    assert session.plan(0.1, 2.0).server == '/idle'


def test_profile_of_another_network_is_refused(coral: DeviceProfile) -> None:
    with pytest.raises(PlanError, match='characterize'):
        PlanningSession(NetworkShape.preset('vgg16'), coral)


def test_time_that_a_frame_has_waited_counts(session: PlanningSession) -> None:
    at_once, later = (session.forecast(0.1, waited_s).latency_s for waited_s in (0.0, 0.5))
    np.testing.assert_allclose(later - at_once, 0.5)


def test_frame_waits_for_the_radio_that_sends_another(session: PlanningSession) -> None:
    idle_s = session.forecast(0.1).latency_s
    session.observe_start(fly(session, 0.0, 30, bandwidth=1e6), 6.0)
    link = session.forecast(6.0)
    session.observe_start(replace(session.plan(6.0, 3.0), option=Option(1, 'raw', SERVER)), 6.0)
    queued = session.forecast(6.0)
    assert queued.latency_s[0] == link.latency_s[0] and np.isfinite(idle_s).all()
    assert (queued.latency_s[1:] >= link.latency_s[1:]).all()
    assert queued.latency_s[1] > link.latency_s[1] + 0.5  # 800 kB at 1 MB/s are ahead


def test_missing_reply_is_believed_before_the_frame_has_ended(session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    assert session.plan(6.0, 3.0).server == SERVER
    session.observe_start(decision, 6.0)
    announce(session, 8.0)
    assert session.plan(8.0, 3.0).option.local
    session.observe_frame(answered(session, decision, 8.1, bandwidth=1e6), 8.1, decision)
    assert session.plan(8.1, 3.0).server == SERVER


def test_server_is_suspect_after_a_miss_until_it_answers(session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    session.observe_frame(unanswered(decision), 6.0)
    assert session.plan(6.1, 3.0).option.local and not session.lost
    probe = sent_probe(session, 6.1, decision)
    session.observe_probe(probe, 6.2, 0.01 + probe.nbytes / 1e6)
    assert session.plan(6.2, 3.0).server == SERVER


def test_suspect_is_all_that_the_pi_alone_has(shape: NetworkShape, pi: DeviceProfile) -> None:
    session = PlanningSession(shape, pi, PlannerSettings(explore_every=0))
    announce(session, 0.0)
    decision = session.plan(0.1, 3.0)
    session.observe_frame(unanswered(decision), 0.2)
    assert session.plan(0.3, 3.0).server == SERVER
    assert decision.hedge_s == inf  # it does not fit


def test_slow_server_is_not_taken_for_a_slow_link(session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    bandwidth = session.plan(6.0, 3.0).bandwidth
    announce(session, 6.0, wait_s=2.0)
    session.observe_frame(unanswered(decision, 1.0), 7.0, decision)
    announce(session, 7.0)
    assert session.forecast(7.0).routes[SERVER][0] == bandwidth


def test_late_reply_tells_how_long_the_server_let_it_wait(session: PlanningSession) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    wait_s = session.forecast(6.0).routes[SERVER][2]
    for _ in range(3):
        session.observe_late(replace(answered(session, decision, 6.0, bandwidth=1e6),
                                     outcome=Outcome.LOCAL, wait_s=wait_s + 0.5), 6.0)
    assert session.forecast(6.0).routes[SERVER][2] > wait_s + 0.1


def test_time_around_the_stages_is_learned(session: PlanningSession) -> None:
    for i in range(20):
        decision = session.plan(0.2 * i, 3.0)
        report = answered(session, decision, 0.2 * i, bandwidth=1e6)
        session.observe_frame(replace(report, total_s=report.total_s + 0.05), 0.2 * i, decision)
    assert session.forecast(5.0).latency_s[0] == pytest.approx(
        session.profile.head_s[-1] + 0.051, rel=0.01)


def test_report_of_a_pipeline_frame() -> None:
    frame = Frame(1, 0.0, None, None, split=3, codec='auto', server=SERVER, encoded_bytes=100,
                  sent=True, outcome=Outcome.DROPPED, reason=DropReason.TIMEOUT.value,
                  stages=Stages(queue=0.1, preprocess=0.2, head=0.3, encode=0.1, total=2.0))
    report = FrameReport.of(frame)
    assert report.unanswered and not report.overloaded and not report.rejected
    assert report.sent_for_s == pytest.approx(1.3)
    hedged = replace(frame, outcome=Outcome.LOCAL, reason='')
    assert FrameReport.of(hedged).unanswered
    refused = FrameReport.of(replace(hedged, remote_failure=DropReason.REFUSED))
    assert refused.rejected and not refused.unanswered


def rejected(decision: Decision, reason: DropReason = DropReason.REFUSED,
             outcome: Outcome = Outcome.LOCAL) -> FrameReport:
    return FrameReport(decision.cut, decision.codec, SERVER, outcome, reason.value,
                       nbytes=5000, total_s=0.1, trouble='another model')


@pytest.mark.parametrize('reason', [DropReason.REFUSED, DropReason.SERVER_FAILED])
@pytest.mark.parametrize('outcome', [Outcome.LOCAL, Outcome.DROPPED])
def test_server_that_rejects_frames_is_paused_for_longer_and_longer(
        session: PlanningSession, reason: DropReason, outcome: Outcome) -> None:
    fly(session, 0.0, 30, bandwidth=1e6)
    known, sent = session.forecast(6.0).routes[SERVER][:2], []
    for i in range(640):  # 64 s of a server that turns everything away
        now_s = 6.0 + 0.1 * i
        announce(session, now_s)
        decision = session.plan(now_s, 3.0)
        if not decision.option.local:
            sent.append(now_s)
            session.observe_frame(rejected(decision, reason, outcome), now_s, decision)
            assert session.backing_off(now_s) == {SERVER: 'another model'}
    assert 5 <= len(sent) <= 7, sent
    assert not session.lost  # it answers
    np.testing.assert_allclose(session.forecast(6.0).routes[SERVER][:2], known)


def test_result_after_refusals_ends_them(session: PlanningSession) -> None:
    decision = session.plan(0.1, 3.0)
    for now_s in (0.2, 1.3):  # paused for 1 s, then for 2 s
        session.observe_frame(rejected(decision), now_s, decision)
    announce(session, 3.2)
    assert session.plan(3.2, 3.0).option.local and session.backing_off(3.2)
    decision = session.plan(3.4, 3.0)
    session.observe_frame(answered(session, decision, 3.4), 3.5, decision)
    assert decision.server == SERVER and not session.backing_off(3.5)
    session.observe_frame(rejected(decision), 3.6, decision)
    announce(session, 4.7)
    assert session.plan(4.7, 3.0).server == SERVER  # 1 s again


def test_restarted_server_with_another_model_is_not_used_until_it_has_the_right_one(
        shape: NetworkShape, coral: DeviceProfile) -> None:
    session = PlanningSession(replace(shape, digest='a' * 64), coral)
    report = ServerReport(SERVER, 0.01, 0.1, (0.1,))
    session.observe_server(report, 0.0, digest='a' * 64)
    decision = session.plan(0.1, 3.0)
    assert decision.server == SERVER
    with pytest.raises(PlanError, match='same model'):
        session.observe_server(report, 1.0, digest='b' * 64)
    session.observe_frame(rejected(decision), 1.0, decision)
    beat(session, 1.0, 100)
    assert session.plan(11.0, 3.0).option.local
    assert 'same model' in session.backing_off(11.0)[SERVER]
    session.observe_server(report, 11.1, digest='a' * 64)
    assert session.plan(11.2, 3.0).server == SERVER and not session.backing_off(11.2)


@pytest.mark.parametrize('outcome', [Outcome.LOCAL, Outcome.DROPPED])
def test_nobody_who_listens_teaches_the_link_nothing(session: PlanningSession,
                                                     outcome: Outcome) -> None:
    decision = fly(session, 0.0, 30, bandwidth=1e6)
    known = session.forecast(6.0).routes[SERVER][:2]
    for i in range(4):
        session.observe_frame(FrameReport(
            decision.cut, decision.codec, SERVER, outcome, DropReason.NO_SERVER.value,
            encode_s=0.001, total_s=0.9), 6.0 + 0.1 * i, decision)
    assert session.plan(6.4, 3.0).option.local and not session.lost
    np.testing.assert_allclose(session.forecast(6.0).routes[SERVER][:2], known)
    announce(session, 8.0)
    assert session.plan(8.0, 3.0).server == SERVER


@pytest.mark.parametrize('value', [nan, inf, -1.0, 0.0, 1e300])
def test_absurd_frames_are_survived(session: PlanningSession, value: float) -> None:
    durations: dict[str, Any] = {f.name: value for f in fields(FrameReport)
                                 if f.name.endswith('_s')}
    for _ in range(5):
        for report in (FrameReport(3, 'auto', SERVER, Outcome.REMOTE, nbytes=100, **durations),
                       unanswered(session.plan(0.1, 1.0), value)):
            session.observe_frame(report, value, session.plan(0.1, 1.0))
    session.observe_battery(value)
    decision = session.plan(0.2, value)
    assert np.isfinite(decision.latency_s) and decision.runnable


def on_board(session: PlanningSession, now_s: float) -> Decision:
    """Return a decision to stay on board, for which sending is no near thing."""
    return replace(session.plan(now_s, 3.0), option=Option(session.shape.last), energy_j=1.0,
                   runner_up_energy_j=9.0)


def test_late_beats_push_the_next_frame_on_board(session: PlanningSession) -> None:
    fly(session, 0.0, 30, bandwidth=2e4)
    beat(session, 0.05, 60)
    in_time_s, local_s = remote_s(session, 6.0), session.forecast(6.0).latency_s[0]
    assert session.plan(6.0, 3.0).server == SERVER
    now_s = beat(session, 6.05, 2, late_s=0.2)
    assert remote_s(session, now_s) > 4.0 * in_time_s
    assert session.forecast(now_s).latency_s[0] == local_s
    assert session.plan(now_s, 3.0).option.local
    now_s = beat(session, 6.25, 2)
    assert remote_s(session, now_s) == pytest.approx(in_time_s, rel=0.05)
    assert session.plan(now_s, 3.0).server == SERVER


def test_wait_that_a_beat_tells_counts_while_it_is_fresh(flown: PlanningSession) -> None:
    short_s = remote_s(flown, 6.0)
    now_s = beat(flown, 6.05, wait_s=0.5)
    assert remote_s(flown, now_s) - short_s == pytest.approx(0.49, abs=0.01)
    assert flown.plan(now_s, 3.0).wait_s == pytest.approx(0.5)  # and is what the decision tells
    beat(flown, 6.15)
    assert remote_s(flown, 6.2) == pytest.approx(short_s, abs=0.01)


@pytest.mark.parametrize('error_s', [0.0, 0.1])
def test_how_well_beats_tell_the_wait_is_learned(session: PlanningSession, error_s: float) -> None:
    for i in range(40):
        now_s, wait_s = 0.2 * i, 0.4 * (i % 2)
        announce(session, now_s, 0.2)
        beat(session, now_s, wait_s=wait_s + error_s)
        decision = session.plan(now_s + 0.01, 3.0)
        session.observe_start(decision, now_s + 0.01)
        report = answered(session, decision, now_s)
        session.observe_frame(replace(report, wait_s=wait_s,
                                      total_s=report.total_s + wait_s - report.wait_s),
                              now_s + 0.1, decision)
    spreads_s = []
    for later_s in (0.1, 1.0):  # the last beat is fresh, and is not any more
        forecast = session.forecast(now_s + later_s)
        spreads_s.append(forecast.latency_spread_s[forecast.options.place(decision.option)])
    assert spreads_s[0] == pytest.approx(error_s, abs=0.01) and spreads_s[1] > 0.3


def warned_again_and_again(session: PlanningSession, answer: str) -> float:
    """Return how much longer sending seems after a late beat, when 12 have come before [s]."""
    decision, now_s = fly(session, 6.0, 1, bandwidth=1e6), 6.25
    for _ in range(12):
        beat(session, now_s, 4)
        fly(session, now_s, 4, bandwidth=1e6)
        late_s = beat(session, now_s + 0.4, late_s=0.05)
        if answer == 'no probe':
            session.observe_probe(Probe(SERVER, 64, 0.0, warned=True), late_s, None)
        elif answer:
            session.observe_start(decision, late_s)
            report = answered(session, decision, late_s, bandwidth=1e6)
            session.observe_frame({
                'in time': report, 'slow': replace(report, link_s=3.0 * report.link_s),
                'no frame': unanswered(decision, 0.1)}[answer], late_s, decision)
        now_s += 1.0
    before_s = remote_s(session, beat(session, now_s, 4))
    return remote_s(session, beat(session, now_s + 0.4, late_s=0.05)) - before_s


def test_warnings_weigh_what_frames_sent_in_spite_of_them_met(
        shape: NetworkShape, coral: DeviceProfile) -> None:
    raised = {}
    for answer in ('', 'in time', 'slow', 'no probe', 'no frame'):
        session = PlanningSession(shape, coral, PlannerSettings(explore_every=0))
        fly(session, 0.0, 30, bandwidth=1e6)
        beat(session, 0.05, 60)
        raised[answer] = warned_again_and_again(session, answer)
    assert 0.0 < raised['in time'] < 0.5 * raised['']
    assert all(raised[slow] > 1.5 * raised[''] for slow in ('slow', 'no probe', 'no frame'))


@pytest.mark.parametrize('late, told', [(2, True), (0, False)])
def test_one_probe_tells_what_a_link_in_doubt_has_become(flown: PlanningSession, late: int,
                                                         told: bool) -> None:
    now_s = beat(flown, 6.05, max(late, 1), late_s=0.15 if late else 0.0)
    probe = sent_probe(flown, now_s, on_board(flown, now_s))
    assert probe.warned is bool(late)
    flown.observe_probe(probe, now_s, 0.01 + probe.nbytes / 1e5)
    bandwidth = flown.forecast(now_s).routes[SERVER][0]
    assert (bandwidth == pytest.approx(1e5, rel=0.2)) is told
    slow_s = remote_s(flown, now_s)
    assert slow_s == pytest.approx(flown.sizes.column(1, 'raw')[0] / bandwidth, rel=0.4)
    late_again = beat(flown, 6.25, 3, late_s=0.15 if late else 0.0)
    assert remote_s(flown, late_again) == pytest.approx(slow_s, rel=0.1)  # beats are settled


def test_probe_that_nobody_listens_to_costs_and_teaches_nothing(flown: PlanningSession) -> None:
    decision = on_board(flown, 6.0)
    for now_s in (6.0, 7.0, 8.0):
        announce(flown, now_s)
        flown.take_back_probe(sent_probe(flown, now_s, decision))
    assert not flown.lost and flown.plan(8.0, 3.0).server == SERVER


def test_beat_of_an_unknown_server_is_ignored(flown: PlanningSession) -> None:
    beat(flown, 6.05, 3, server='/other', wait_s=9.0)
    assert flown.plan(6.3, 3.0).server == SERVER and set(flown.forecast(6.3).routes) == {SERVER}


@pytest.mark.parametrize('lost', [True, False])
def test_lost_server_is_probed_at_once_when_it_is_heard(flown: PlanningSession,
                                                        lost: bool) -> None:
    if lost:
        flown.observe_link_lost()
    decision = on_board(flown, 9.0)
    assert flown.probe(9.0, decision) is not None and flown.probe(9.01, decision) is None
    beat(flown, 9.01)
    assert (flown.probe(9.02, decision) is not None) is lost


def test_two_probes_without_an_answer_lose_the_server(flown: PlanningSession) -> None:
    decision = on_board(flown, 6.0)
    for now_s in (6.0, 7.0):
        assert not flown.lost
        flown.observe_probe(sent_probe(flown, now_s, decision), now_s, None)
    assert flown.lost == (SERVER,)


@pytest.mark.parametrize('answer', ['reply', 'late reply', 'busy server', 'refusal', 'probe',
                                    None])
def test_any_answer_between_two_misses_keeps_the_server(flown: PlanningSession,
                                                        answer: str | None) -> None:
    decision = flown.plan(6.0, 3.0)
    reply = answered(flown, decision, 6.1)
    flown.observe_frame(unanswered(decision), 6.0)
    if answer == 'reply':
        flown.observe_frame(reply, 6.1)
    elif answer == 'late reply':
        flown.observe_late(replace(reply, outcome=Outcome.LOCAL), 6.1)
    elif answer in ('busy server', 'refusal'):
        reason = DropReason.BUSY if answer == 'busy server' else DropReason.REFUSED
        flown.observe_frame(replace(reply, outcome=Outcome.DROPPED, reason=reason.value), 6.1)
    elif answer == 'probe':
        flown.observe_probe(Probe(SERVER, 64, 0.0), 6.1, 0.011)
    flown.observe_frame(unanswered(decision), 6.2)
    assert bool(flown.lost) is (answer is None)


def test_frames_that_do_not_come_back_tell_of_a_slower_link(flown: PlanningSession) -> None:
    decision, known = flown.plan(6.0, 3.0), flown.forecast(6.0).routes[SERVER][0]
    for i in range(2):
        flown.observe_frame(unanswered(decision, 3.0), 6.0 + 0.2 * i)
    assert flown.forecast(6.4).routes[SERVER][0] < 0.5 * known


def test_a_charge_that_cannot_be_leaves_the_battery_as_it_was(
        session: PlanningSession, monkeypatch: pytest.MonkeyPatch) -> None:
    charges, choose = [], session.planner.choose
    monkeypatch.setattr(session.planner, 'choose', lambda *args, battery: (
        charges.append(battery) or choose(*args, battery=battery)))
    for charge in (0.25, nan, inf, -0.1, 1.1):
        session.observe_battery(charge)
        session.plan(0.1, 3.0)
    assert charges == [0.25] * 5
