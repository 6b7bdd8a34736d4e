"""Frames, servers, layers and meters."""

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from offload_perception.frames import DropReason, Status
from offload_perception.health import Level, meter_watch
from offload_perception.health.frames_watch import FramesWatch, servers_findings
from offload_perception.health.layers import SpeedWatch, network_findings
from offload_perception.health.server_watch import ServerWatch
from offload_perception.pipeline.ledger import Counts
from offload_perception.power.drivers import samples
from offload_perception.power.drivers.samples import Counters, Event, Sample, State
from offload_perception.serving.server_load import Load


def texts(findings: Iterator[Any]) -> dict[str, str]:
    return {f.name: f'{f.level.name} {f.text}' for f in findings}


def frames(remote: int = 0, **reasons: int) -> Counts:
    return Counts(remote=remote, reasons=Counter(
        {DropReason[reason].value: n for reason, n in reasons.items()}))


FRAMES = {
    'all well': ({'remote': 90, 'SUPERSEDED': 9}, {}),
    'nearly well': ({'remote': 900, 'TIMEOUT': 9, 'BUSY': 9}, {}),
    'link lost': ({'TIMEOUT': 7}, {'link': 'ERROR link lost: no reply from /server to 7 tensors'}),
    'weak link': ({'TIMEOUT': 7, 'remote': 20}, {'link': 'WARN 7 of 27 tensors to /server'}),
    'refusals are replies': ({'TIMEOUT': 2, 'REFUSED': 20}, {
        'link': 'WARN 2 of 22 tensors to /server', 'server refused': 'ERROR the server refused'}),
    'busy': ({'BUSY': 2, 'LATE': 3}, {'server load': 'WARN /server is overloaded: it rejected 5'}),
    'refused': ({'REFUSED': 2}, {'server refused': 'ERROR the server refused 2 tensors in the'}),
    'failed': ({'SERVER_FAILED': 1}, {'server failed': 'ERROR the server failed on 1 tensor in'}),
    'head': ({'HEAD_FAILED': 1}, {
        'head failed': 'ERROR the layers on board failed on 1 frame in'}),
    'plans': ({'PLAN_FAILED': 3}, {'planning failed': 'ERROR no plan was found for 3 frames in'}),
    'encoder': ({'ENCODE_FAILED': 1}, {
        'encoding failed': 'ERROR 1 tensor could not be encoded in the last 10 s: why'}),
    'sending': ({'SEND_FAILED': 2}, {
        'sending failed': 'ERROR 2 tensors could not be published in the last 10 s: why'}),
    'images': ({'BAD_IMAGE': 4}, {
        'bad image': 'WARN 4 images could not be used in the last 10 s: why'}),
}


@pytest.mark.parametrize(('counts', 'expected'), FRAMES.values(), ids=FRAMES)
def test_drops_of_the_last_seconds_are_reported_by_reason(counts: dict[str, int],
                                                          expected: dict[str, Any]) -> None:
    watch, last = FramesWatch(reply_timeout_s=1.0), {r.value: 'why' for r in DropReason}
    assert not list(watch.findings(frames(), last, '/server', 0.0))
    found = texts(watch.findings(frames(**counts), last, '/server', 1.0))
    assert found.keys() == expected.keys()
    assert all(found[name].startswith(text) for name, text in expected.items())
    assert not list(watch.findings(frames(**counts), last, '/server', 12.0))  # long ago


def test_reports_that_could_not_be_published_are_reported() -> None:
    watch = FramesWatch(reply_timeout_s=1.0)
    found = texts(watch.findings(frames(), {'reporting failed': 'why'}, '', 1.0, unreported=2))
    assert found['reporting failed'].startswith('ERROR 2 reports could not be published in')


def test_foreign_replies_are_reported() -> None:
    watch = FramesWatch(reply_timeout_s=1.0)
    found = texts(watch.findings(Counts(foreign_replies=3), {'foreign reply': 'why'}, '', 1.0))
    assert found == {'foreign reply': 'WARN 3 answers to frames in flight ignored as foreign in '
                     'the last 10 s: why'}


def test_a_flood_is_reported_with_the_name_of_the_drone_that_sends_most() -> None:
    watch = ServerWatch(queue_limit=16)
    load = Load(0.0, 0.0, 0.0, 0, ())
    quiet = {'/honest/edge': 20, '/flood/edge': 10}
    assert not list(watch.findings(load, Counter(), 0, {}, 0.0, 0, quiet))
    found = texts(watch.findings(load, Counter(), 0, {}, 5.0, 800,
                                 {'/honest/edge': 70, '/flood/edge': 5010}))
    assert found == {'flood': 'WARN 800 tensors overwritten before the server could take them in '
                     'the last 10 s; /flood/edge sent 5010 of 5080: have it send less, or add a '
                     'server'}


def test_a_server_that_turns_frames_away_is_an_error_with_its_own_words() -> None:
    found = texts(servers_findings({'/server': ''}, (), True, {'/server': 'another model'}))
    assert found == {'refusals of /server': 'ERROR /server refuses frames; it is not used, and '
                     'retried from time to time: another model'}


def test_a_link_is_lost_soon_after_the_last_reply() -> None:
    watch, levels = FramesWatch(reply_timeout_s=1.0), []
    for second in range(12):
        counts = frames(remote=10 * min(second, 4), TIMEOUT=max(0, second - 5))
        levels.append([f.level.name for f in watch.findings(counts, {}, '/server', float(second))])
    assert levels[:7] == [[]] * 6 + [['WARN']] and levels[8:] == [['ERROR']] * 4


def test_servers_that_are_not_there() -> None:
    missing = {'/a': 'no server is subscribed to /a/features'}
    assert texts(servers_findings(missing, lost=(), local=False)) == {
        'server /a': 'ERROR no server is subscribed to /a/features'}
    assert texts(servers_findings(missing, lost=(), local=True))['server /a'].endswith(
        'features; all is done on board')
    found = texts(servers_findings({**missing, '/b': ''}, lost=('/b',), local=True))
    assert found['server /a'] == 'WARN no server is subscribed to /a/features'
    assert found['link to /b'].startswith('WARN link lost: no reply from /b')


def load(utilisation: float = 0.1, queue_length: int = 0) -> Load:
    return Load(1.0, utilisation, 0.0, queue_length, ())


SERVED = {
    'well': (load(), {Status.OK: 200, Status.BUSY: 1, Status.LATE: 1}, 0, {}),
    'busy': (load(0.95), {}, 0, {'load': 'WARN overloaded: busy 95% of the time, 0 of 8'}),
    'queue': (load(queue_length=7), {}, 0, {'load': 'WARN overloaded: busy 10% of the time, 7'}),
    'turned away': (load(), {Status.BUSY: 3, Status.LATE: 1}, 0, {
        'load': 'WARN overloaded: busy 10% of the time, 0 of 8 tensors wait, 4 rejected'}),
    'failed': (load(), {Status.FAILED: 3}, 0, {
        'tails': 'ERROR 3 tails could not be computed in the last 10 s: why'}),
    'refused': (load(), {Status.REFUSED: 3}, 0, {
        'refused': 'WARN 3 tensors refused in the last 10 s: why'}),
    'replies': (load(), {}, 5, {'replies': 'WARN 5 of the replies had no subscriber in'}),
}


@pytest.mark.parametrize(('now', 'replies', 'lost', 'expected'), SERVED.values(), ids=SERVED)
def test_a_server_tells_what_it_cannot_cope_with(now: Load, replies: dict[Status, Any], lost: int,
                                                 expected: dict[str, Any]) -> None:
    watch, why = ServerWatch(queue_limit=8), dict.fromkeys(Status, 'why')
    found = texts(watch.findings(now, Counter(replies), lost, why, 0.0))
    assert found.keys() == expected.keys()
    assert all(found[name].startswith(text) for name, text in expected.items())
    assert not list(watch.findings(load(), Counter(replies), lost, why, 11.0))


def test_layers_tell_device_memory_and_weights() -> None:
    assert not list(network_findings('', '', trained=True))
    lossy, = network_findings('', '', True, doubt='int8 agrees on only 11%')
    assert lossy.level is Level.WARN and '11%' in lossy.text
    found = texts(network_findings('the stick is lost', 'none', False, streamed=4096))
    assert found == {
        'device': 'WARN the stick is lost',
        'on-chip memory': 'WARN 4096 bytes of parameters do not fit on the Edge TPU and are '
                          'streamed for every frame; cut earlier',
        'weights': 'OK UNTRAINED weights: the labels mean nothing'}


def test_device_auto_without_an_edge_tpu_is_no_warning() -> None:
    found = texts(network_findings('', 'the Edge TPU is not used: no stick', True))
    assert found == {'device': 'OK the Edge TPU is not used: no stick'}


def test_layers_slower_than_the_profile_are_reported() -> None:
    watch = SpeedWatch()
    assert [bool(list(watch.findings(x))) for x in (1.2, 1.6, 1.4, 1.2)] == [
        False, True, True, False]


def reading(volt: float = 5.0, ampere: float = 0.4, unknown: tuple[str, ...] = ()) -> Sample:
    shown: Any = SimpleNamespace(voltage_v=volt, current_a=ampere, unknown=unknown)
    return Sample(0.0, volt, ampere, volt * ampere, reading=shown)


def test_gaps_and_errors_of_a_meter_are_reported() -> None:
    watch = meter_watch.ReadingsWatch()
    assert not list(watch.findings(Counters(polls=30), 0.0))
    watch.observe_event(Event(0.0, 'gap', 'no reading for 3.4 s'))
    found = texts(watch.findings(
        Counters(polls=60, gaps=1, errors={'silent': 10, 'short': 2}), 10.0))
    assert found['gaps'].startswith('WARN 1 gap in the last 60 s, the last: no reading for 3.4 s')
    assert found['readings'].startswith('WARN 12 of 60 polls failed in the last 60 s, most as s')


def test_under_voltage_and_no_current_are_reported_until_they_are_over() -> None:
    watch, counters = meter_watch.ReadingsWatch(), Counters()
    for volt, low in ((4.7, False), (4.6, True), (4.7, True), (4.8, False)):
        watch.observe_sample(reading(volt))
        assert ('voltage' in texts(watch.findings(counters, 0.0))) is low
    watch.observe_event(Event(0.0, 'no_load', 'no current at all'))
    assert texts(watch.findings(counters, 0.0)) == {'current': 'WARN no current at all'}
    watch.observe_sample(reading(ampere=0.3))
    assert not list(watch.findings(counters, 0.0))


def test_only_a_um_meter_is_on_a_supply_of_5_volts() -> None:
    watch = meter_watch.ReadingsWatch()
    watch.observe_sample(Sample(0.0, 1.1, 0.4, 0.44))
    assert not list(watch.findings(Counters(), 0.0))


def test_what_a_fast_meter_loses_and_what_helps_are_said() -> None:
    watch = meter_watch.ReadingsWatch('turn it round')
    found = texts(watch.findings(
        Counters(polls=10, dropped=7, errors={'refused: out of range': 9}), 0.0))
    assert found['samples'].startswith('WARN 7 samples were lost in 60 s: this computer')
    assert found['readings'].endswith('most as refused: out of range: turn it round')


def test_a_field_that_is_not_known_is_said_and_no_warning() -> None:
    watch = meter_watch.ReadingsWatch()
    watch.observe_sample(reading(unknown=('temperature_c',)))
    finding, = watch.findings(Counters(), 0.0)
    assert finding.level is Level.OK and 'temperature_c' in finding.text
    watch.observe_sample(reading())
    assert not list(watch.findings(Counters(), 0.0))


@pytest.mark.parametrize(('state', 'level'), [
    (samples.State.CONNECTING, Level.OK), (samples.State.FAULTY, Level.WARN),
    (samples.State.LOST, Level.ERROR)])
def test_the_link_to_a_meter(state: State, level: Level) -> None:
    finding, = meter_watch.link_findings(samples.MeterStatus(state, 'why', 0.0))
    assert finding.level is level and 'why' in finding.text
    measuring = samples.MeterStatus(samples.State.MEASURING, '', 0.0)
    assert not list(meter_watch.link_findings(measuring))
