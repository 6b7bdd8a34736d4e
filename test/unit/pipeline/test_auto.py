"""The planner as the pipeline's strategy: what it is asked, what it learns from, its probes."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest
from unit.pipeline.pipeline_fakes import Clock, packet, reply_to

from offload_perception.codec.calibration import Calibration
from offload_perception.errors import PlanError
from offload_perception.frames import DropReason, Frame, Outcome, Status
from offload_perception.pipeline.auto import AutoStrategy
from offload_perception.pipeline.ledger import Counts
from offload_perception.pipeline.plan import Ended, Plan
from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.probing import PROBE_TIMEOUT_S, Probe
from offload_perception.planning.route import ServerReport
from offload_perception.planning.session import PlanningSession


@pytest.fixture
def session() -> Any:
    return create_autospec(PlanningSession, instance=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def strategy(session: Any, clock: Clock) -> AutoStrategy:
    return AutoStrategy(session, calibration=None, clock=clock)


def sent_probe(strategy: AutoStrategy) -> tuple[int, Probe]:
    """Return the nonce of the probe that is sent now, and the probe."""
    sent = strategy.next_probe(link_idle=True)
    assert sent is not None
    return sent


def decided(cut: int = 1, hedge_s: float = 0.25) -> Decision:
    return Decision(Option(cut, 'lossy:4', '/server'), 0.1, 0.01, 1.0, 0.1, 0.4, True, 'least',
                    hedge_s=hedge_s, head_s=0.03)


def unanswered(header: Any) -> Frame:
    return Frame(1, 99.0, header, None, split=1, split_name='pool', server='/server', sent=True,
                 encoded_bytes=100, encoded_s=99.5, nonce=packet(1).nonce, outcome=Outcome.DROPPED,
                 reason=DropReason.TIMEOUT.value)


def test_energy_and_late_replies_are_those_of_the_frame_with_that_header(
        strategy: AutoStrategy, session: Any) -> None:
    strategy.observe_end(Ended(unanswered('today'), Counts()))
    late = reply_to(packet(1, header='today'))
    strategy.observe_late(reply_to(packet(1, header='yesterday')))
    strategy.observe_energy('yesterday', 1, 0.5)
    assert not session.observe_late.called and not session.observe_energy.called
    strategy.observe_late(late)
    strategy.observe_energy('today', 1, 0.5)
    (report, now_s), _ = session.observe_late.call_args
    assert report.link_s == pytest.approx(0.5 - late.server_total_s) and now_s == 100.0
    assert session.observe_energy.call_count == 1


@pytest.mark.parametrize('forged', [{'nonce': 7}, {'server': '/elsewhere'}])
def test_a_forged_late_reply_teaches_nothing_and_costs_the_true_one_nothing(
        strategy: AutoStrategy, session: Any, forged: dict[str, Any]) -> None:
    strategy.observe_end(Ended(unanswered('today'), Counts()))
    strategy.observe_late(reply_to(packet(1, header='today'), **forged))
    assert not session.observe_late.called
    strategy.observe_late(reply_to(packet(1, header='today')))
    assert session.observe_late.call_count == 1


def test_only_the_server_that_a_probe_went_to_answers_it_and_with_its_nonce(
        strategy: AutoStrategy, session: Any) -> None:
    strategy(Frame(1, 99.0, 'header', None))
    session.probe.return_value = Probe('/server', 1000, 0.0)
    nonce, probe = sent_probe(strategy)
    for number, server in ((nonce + 1, '/server'), (nonce, '/elsewhere'), (1, '/server')):
        strategy.observe_probe(number, server, 0.0)
    assert not session.observe_probe.called
    strategy.observe_probe(nonce, '/server', 0.0)
    strategy.observe_probe(nonce, '/server', 0.0)
    session.observe_probe.assert_called_once_with(probe, 100.0, 0.0)


def probing(session: Any, nbytes: int = 64) -> Probe:
    """Let the session want a probe whenever it is asked."""
    session.probe.return_value = probe = Probe('/server', nbytes, 0.0)
    return probe


def test_no_probe_is_sent_after_a_frame_or_before_the_first_plan(
        strategy: AutoStrategy, session: Any) -> None:
    probing(session)
    assert strategy.next_probe(link_idle=True) is None
    strategy(Frame(1, 99.0, 'header', None))
    assert strategy.next_probe(link_idle=False) is None
    assert not session.probe.called
    assert strategy.next_probe(link_idle=True) is not None


def test_one_probe_at_a_time_and_one_that_is_not_answered_is_given_up(
        strategy: AutoStrategy, session: Any, clock: Clock) -> None:
    strategy(Frame(1, 99.0, 'header', None))
    probe = probing(session)
    nonce, _ = sent_probe(strategy)
    assert strategy.next_probe(link_idle=True) is None
    clock.now_s += 0.99 * PROBE_TIMEOUT_S
    assert strategy.next_probe(link_idle=True) is None and not session.observe_probe.called
    clock.now_s += 0.02 * PROBE_TIMEOUT_S
    second, _ = sent_probe(strategy)
    session.observe_probe.assert_called_once_with(probe, clock.now_s, None)
    strategy.observe_probe(nonce, '/server', 0.0)  # too late
    assert second != nonce and session.observe_probe.call_count == 1


def test_a_probe_that_could_not_be_sent_is_taken_back_and_teaches_nothing(
        strategy: AutoStrategy, session: Any) -> None:
    strategy(Frame(1, 99.0, 'header', None))
    probing(session)
    nonce, _ = sent_probe(strategy)
    strategy.take_back_probe(nonce)
    strategy.take_back_probe(nonce)
    strategy.observe_probe(nonce, '/server', 0.0)
    assert not session.observe_probe.called


def test_a_probe_took_what_the_server_did_not(strategy: AutoStrategy, session: Any,
                                                clock: Clock) -> None:
    strategy(Frame(1, 99.0, 'header', None))
    probe = probing(session)
    for took_s, server_s, link_s in ((0.5, 0.2, 0.3), (0.1, 9.0, 0.0)):
        nonce, _ = sent_probe(strategy)
        clock.now_s += took_s
        strategy.observe_probe(nonce, '/server', server_s)
        assert session.observe_probe.call_args.args == (
            probe, clock.now_s, pytest.approx(link_s))


@pytest.mark.parametrize('status', [Status.REFUSED, Status.BUSY, Status.LATE, Status.FAILED])
def test_a_refusal_that_comes_late_teaches_nothing(strategy: AutoStrategy, session: Any,
                                                   status: Status) -> None:
    strategy.observe_end(Ended(unanswered('today'), Counts()))
    strategy.observe_late(reply_to(packet(1, header='today'), status))
    assert not session.observe_late.called


def test_a_plan_is_what_the_session_decided(session: Any) -> None:
    calibration = create_autospec(Calibration, instance=True)
    calibration.setting.side_effect = lambda name, codec: f'{codec}:96 at {name}'
    session.shape = SimpleNamespace(names=('input', 'pool', 'predictions'))
    decision = decided(cut=1, hedge_s=0.25)
    session.plan.return_value = decision
    strategy = AutoStrategy(session, calibration=calibration, clock=Clock())
    frame = Frame(1, 99.0, 'header', None, deadline_s=0.4)
    assert strategy(frame) == Plan(1, 'lossy:4:96 at pool', '/server', 99.25, 0.03, decision)
    session.plan.assert_called_once_with(100.0, 0.4, 1.0)
    assert frame.decision is decision


def test_without_a_calibration_the_codec_is_as_it_was_decided(
        strategy: AutoStrategy, session: Any) -> None:
    session.plan.return_value = decided()
    assert strategy(Frame(1, 99.0, 'header', None)).codec == 'lossy:4'


def test_what_a_server_says_is_passed_on_with_the_time_at_which_it_said_so(
        strategy: AutoStrategy, session: Any) -> None:
    report = ServerReport('/server', 0.1)
    strategy.observe_server(report, digest='abc')
    session.observe_server.assert_called_once_with(report, 100.0, digest='abc')
    strategy.observe_backlog('/server', 0.25, 0.2)
    session.observe_backlog.assert_called_once_with('/server', 99.75, 0.2)


def test_the_camera_s_period_is_counted_without_the_frames_of_the_mission_s_pace(
        strategy: AutoStrategy, session: Any) -> None:
    session.plan.return_value = decided()
    strategy(Frame(1, 90.0, 'a', None))
    assert not session.observe_period.called
    strategy(Frame(5, 92.0, 'b', None))  # three were superseded
    assert session.observe_period.call_args.args == (pytest.approx(0.5),)
    for number in (6, 7):
        strategy.observe_end(Ended(Frame(number, 92.5, 'c', None, reason=DropReason.PACED,
                                         outcome=Outcome.DROPPED), Counts()))
    strategy(Frame(8, 93.0, 'd', None))
    assert session.observe_period.call_args.args == (pytest.approx(1.0),)


def test_a_session_that_wants_no_probe_gets_none(strategy: AutoStrategy, session: Any) -> None:
    strategy(Frame(1, 99.0, 'header', None))
    session.probe.return_value = None
    assert strategy.next_probe(link_idle=True) is None and not strategy._probes


def test_a_frame_that_nothing_can_run_is_refused_and_counts_as_not_started(
        strategy: AutoStrategy, session: Any) -> None:
    session.plan.return_value = replace(decided(), runnable=False, reason='nothing can run')
    with pytest.raises(PlanError, match='nothing can run'):
        strategy(Frame(1, 99.0, 'header', None))


def test_what_a_frame_took_is_learned_under_the_codec_that_the_planner_knows(
        strategy: AutoStrategy, session: Any) -> None:
    frame = replace(unanswered('today'), codec='lossy:4:96', decision=decided())
    strategy.observe_end(Ended(frame, Counts()))
    strategy.observe_energy('today', 1, 0.5)
    for learned in (session.observe_frame, session.observe_energy):
        assert learned.call_args.args[0].codec == 'lossy:4'
        assert frame.decision in learned.call_args.args


def test_a_frame_that_was_dropped_before_its_plan_teaches_nothing(
        strategy: AutoStrategy, session: Any) -> None:
    strategy.observe_end(Ended(replace(unanswered('today'), split_name=''), Counts()))
    assert not session.observe_frame.called


def test_what_is_remembered_is_bounded(strategy: AutoStrategy, session: Any) -> None:
    for n in range(1, 401):
        strategy.observe_end(Ended(replace(unanswered(n), sequence=n), Counts()))
        strategy.observe_late(reply_to(packet(1, header=n - 16), sequence=n - 16))  # one too old
    assert not session.observe_late.called
    strategy.observe_energy(400 - 256, 400 - 256, 0.5)
    assert not session.observe_energy.called
    strategy.observe_energy(400 - 255, 400 - 255, 0.5)
    strategy.observe_late(reply_to(packet(1, header=385), sequence=385))
    assert session.observe_energy.called and session.observe_late.called


def test_frames_of_the_activation_before_are_forgotten(strategy: AutoStrategy,
                                                       session: Any) -> None:
    strategy.observe_end(Ended(unanswered('same header'), Counts()))
    next_one = AutoStrategy(session, calibration=None, clock=Clock())
    next_one.observe_late(reply_to(packet(1, header='same header')))
    next_one.observe_energy('same header', 1, 0.5)
    assert not session.observe_late.called and not session.observe_energy.called
