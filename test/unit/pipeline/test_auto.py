"""The planner of the pipeline, across activations."""

from unittest.mock import create_autospec

import pytest
from pipeline_fakes import Clock, packet, reply_to

from offload_perception.pipeline.auto import AutoStrategy
from offload_perception.pipeline.ledger import Counts
from offload_perception.pipeline.plan import Ended
from offload_perception.pipeline.records import DropReason, Frame, Outcome
from offload_perception.planning.probing import Probe
from offload_perception.planning.session import PlanningSession


@pytest.fixture
def session():
    return create_autospec(PlanningSession, instance=True)


@pytest.fixture
def strategy(session):
    return AutoStrategy(session, calibration=None, clock=Clock())


def unanswered(header: str) -> Frame:
    return Frame(1, 99.0, header, None, split=1, split_name='pool', server='/server', sent=True,
                 encoded_bytes=100, encoded_s=99.5, nonce=packet(1).nonce, outcome=Outcome.DROPPED,
                 reason=DropReason.TIMEOUT.value)


def test_energy_and_late_replies_are_those_of_the_frame_with_that_header(strategy, session):
    strategy.ended(Ended(unanswered('today'), Counts()))
    late = reply_to(packet(1, header='today'))
    strategy.late(reply_to(packet(1, header='yesterday')))
    strategy.metered('yesterday', 1, 0.5)
    assert not session.observe_late.called and not session.observe_energy.called
    strategy.late(late)
    strategy.metered('today', 1, 0.5)
    (report, now_s), _ = session.observe_late.call_args
    assert report.link_s == pytest.approx(0.5 - late.server_total_s) and now_s == 100.0
    assert session.observe_energy.call_count == 1


@pytest.mark.parametrize('forged', [{'nonce': 7}, {'server': '/elsewhere'}])
def test_a_forged_late_reply_teaches_nothing_and_costs_the_true_one_nothing(strategy, session,
                                                                            forged):
    strategy.ended(Ended(unanswered('today'), Counts()))
    strategy.late(reply_to(packet(1, header='today'), **forged))
    assert not session.observe_late.called
    strategy.late(reply_to(packet(1, header='today')))
    assert session.observe_late.call_count == 1


def test_only_the_server_that_a_probe_went_to_answers_it_and_with_its_nonce(strategy, session):
    strategy(Frame(1, 99.0, 'header', None))
    session.probe.return_value = Probe('/server', 1000, 0.0)
    nonce, probe = strategy.next_probe(link_idle=True)
    for number, server in ((nonce + 1, '/server'), (nonce, '/elsewhere'), (1, '/server')):
        strategy.probe_answered(number, server, 0.0)
    assert not session.observe_probe.called
    strategy.probe_answered(nonce, '/server', 0.0)
    strategy.probe_answered(nonce, '/server', 0.0)
    session.observe_probe.assert_called_once_with(probe, 100.0, 0.0)


def test_frames_of_the_activation_before_are_forgotten(strategy, session):
    strategy.ended(Ended(unanswered('same header'), Counts()))
    strategy.begin()
    strategy.late(reply_to(packet(1, header='same header')))
    strategy.metered('same header', 1, 0.5)
    assert not session.observe_late.called and not session.observe_energy.called
