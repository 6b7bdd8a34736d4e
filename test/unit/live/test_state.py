"""What the live views show, from messages that a test made."""

import json
import threading
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.live import drone
from unit.live.drone import Clock

from offload_perception.health import Finding, as_values, error, note, verdict, warning
from offload_perception.health.steady import JUST_OVER
from offload_perception.live import warnings
from offload_perception.live.plain_data import plain
from offload_perception.live.state import WINDOW_S, LiveState

ENDS = st.lists(st.sampled_from([0, 1, 2]), max_size=40)


@given(ENDS)
def test_the_counts_add_up(ends: list[int]) -> None:
    state, ended = LiveState('/drone1', ()), [0, 0, 0]
    for number, outcome in enumerate(ends, 1):
        ended[outcome] += 1
        state.add_frame(drone.frame(number, outcome=outcome, remote=ended[0], local=ended[1],
                                    dropped=ended[2]))
    c = state.snapshot()['counts']
    assert c['captured'] == c['remote'] + c['local'] + c['dropped'] + c['under_way'] == len(ends)
    assert sum(c['reasons'].values()) == c['dropped'] == ended[2]


def test_the_stages_and_the_rest_add_up_to_the_total(state: LiveState) -> None:
    state.add_frame(drone.frame(1))
    state.add_frame(drone.frame(2, outcome=1, link=nan, server_wait=nan, decode=nan, total=0.3))
    shown = state.snapshot()['latency']
    assert sum(shown['stages'].values()) + shown['rest'] == pytest.approx(shown['mean'])
    assert shown['mean'] == pytest.approx(0.2) and shown['slowest'] == 0.3


@pytest.mark.parametrize(('changes', 'on_board'), [
    ({}, 14), ({'split': 0, 'split_name': 'input'}, 0),
    ({'outcome': 1, 'split': 21, 'split_name': 'predictions', 'bytes': 0}, 21),
    ({'outcome': 1}, 21)])
def test_each_layer_is_where_it_ran(state: LiveState, changes: dict[str, Any],
                                    on_board: int) -> None:
    state.add_frame(drone.frame(1, **changes))
    layers = state.snapshot()['network']['layers']
    assert [x['on'] for x in layers] == ['drone'] * on_board + ['server'] * (21 - on_board)
    assert layers[13]['name'] == 'block4_pool' and layers[-1]['name'] == 'predictions'


def test_a_dropped_frame_does_not_hide_where_the_layers_run(state: LiveState) -> None:
    state.add_frame(drone.frame(1))
    state.add_frame(drone.frame(2, outcome=2, split=0, split_name=''))
    assert state.snapshot()['network']['split_name'] == 'block4_pool'


def test_rates_are_of_now_and_the_last_latency_stays(state: LiveState, clock: Clock) -> None:
    clock.now_s += 10
    for number in range(1, 11):
        state.add_frame(drone.frame(number))
    assert state.snapshot()['latency']['per_second'] == pytest.approx(10 / WINDOW_S)
    clock.now_s += 60
    shown = state.snapshot()
    assert shown['latency']['per_second'] == 0 and shown['latency']['mean'] == pytest.approx(0.1)
    assert shown['frame_age_s'] == 60 and shown['link']['sent_per_second'] == 0


def test_who_falls_silent_is_distinguished_and_the_worst_comes_first(
        state: LiveState, clock: Clock) -> None:
    drone.fill(state)
    clock.now_s += 2 * warnings.SILENT_S
    state.add_health('/drone1/camera', 0, 'playing', {})
    levels = [(h['level'], h['name']) for h in state.snapshot()['health']]
    assert levels == [('error', '/server/remote_inference'), ('silent', '/drone1/edge_inference'),
                      ('silent', '/drone1/um25c'), ('ok', '/drone1/camera')]


def test_a_mission_policy_that_is_not_repeated_expires(state: LiveState, clock: Clock) -> None:
    assert state.snapshot()['policy'] == ''
    state.add_policy(drone.policy('full', reason='in flight', min_period=0.0, deadline_scale=1.0))
    assert state.snapshot()['policy'] == 'full: in flight'
    clock.now_s += 60
    assert state.snapshot()['policy'] == 'none, the last one came 60 s ago'


def heard(state: LiveState, node: str, *found: Finding, **values: str) -> None:
    """Let a node publish its diagnostics, as `ManagedNode` does."""
    state.add_health(node, *verdict('running', found), {**as_values(found), **values})


def test_complaints_are_few_and_spare_what_is_only_said(state: LiveState) -> None:
    heard(state, '/drone1/edge', note('device', 'the Edge TPU is not used: no stick'))
    assert state.complaints() == []
    heard(state, '/drone1/edge', note('device', 'no stick'), warning('heat', 'hot'))
    heard(state, '/drone1/meter', error('meter', 'gone\x1b'))
    assert state.complaints() == [r'diagnostics: error, /drone1/meter: gone\x1b',
                                  'diagnostics: warning, /drone1/edge: hot']
    for n in range(9):
        state.add_health(f'/drone1/{n}', 2, 'broken', {})
    assert len(state.complaints()) == 3


def test_each_finding_is_one_item_the_worst_and_newest_first(
        state: LiveState, clock: Clock) -> None:
    heat, stamps = warning('heat', 'hot'), warning('stamps', 'ahead')
    heard(state, '/drone1/edge', heat)
    clock.now_s += 2
    heard(state, '/drone1/edge', stamps, heat)
    heard(state, '/drone1/camera', error('source', 'gone'), note('listeners', 'nobody'))
    clock.now_s += 1
    heard(state, '/drone1/edge', error('link', 'link lost'), heat, stamps)
    shown = [(i['level'], i['text'], i['for_s']) for i in state.snapshot()['warnings']]
    assert shown == [('error', 'link lost', 0), ('error', 'gone', 1), ('warning', 'ahead', 1),
                     ('warning', 'hot', 3)]
    clock.now_s += 10
    worst, silent = state.snapshot()['warnings']
    assert worst['level'] == silent['level'] == 'error'
    assert 'silent for 10 s; its last report: link lost' in worst['text']


@pytest.mark.parametrize('found', [
    error('link', 'link lost: no reply'), warning('link to /server', 'link lost: no reply'),
    error('server /server', 'no server listens')])
def test_a_lost_server_is_in_the_state(state: LiveState, found: Finding) -> None:
    assert state.snapshot()['state'] == {'kind': 'waiting', 'words': 'no messages from /drone1'}
    drone.fill(state)
    assert state.snapshot()['state'] == {'kind': 'live', 'words': 'live'}
    heard(state, '/drone1/edge_inference', found)
    shown = state.snapshot()
    assert shown['state'] == {'kind': 'lost', 'words': '/server lost'}
    assert shown['network']['reason'] == '/server is lost; set by parameter'


def test_a_server_that_fell_silent_is_lost(state: LiveState, clock: Clock) -> None:
    drone.fill(state)
    state.add_server('/server2', drone.status())
    clock.now_s += warnings.SILENT_S + 1
    state.add_server('/server', drone.status(model_digest='d2'))
    state.add_frame(drone.frame(9))
    shown = state.snapshot()
    assert shown['state'] == {'kind': 'lost',
                              'words': '/server2 lost, /server has another model'}
    assert [s['silent'] for s in shown['servers']] == [False, True]
    assert shown['foreign'] == ['/server']


@pytest.mark.parametrize(('latency', 'kind'), [(nan, 'live'), (0.1, 'lost'), (inf, 'lost')])
def test_a_server_that_is_not_used_may_fall_silent(state: LiveState, clock: Clock, latency: float,
                                                   kind: str) -> None:
    """With a fixed cut no server matters; a planner would use it if it were there."""
    drone.fill(state)
    state.add_decision(drone.decision(server='', latency=latency))
    heard(state, drone.SERVER, error('tails', 'failed'))
    clock.now_s += warnings.SILENT_S + 1
    state.add_frame(drone.frame(9, outcome=1, split=21))
    for node in ('camera', 'edge_inference', 'um25c'):
        heard(state, f'/drone1/{node}')
    shown = state.snapshot()
    assert shown['state']['kind'] == kind
    assert bool(shown['warnings']) == bool(state.complaints()) == (kind == 'lost')
    assert ({h['level'] for h in shown['health']} == {'ok'}) == (kind == 'live')
    assert shown['servers'][0]['silent'] and shown['servers'][0]['used'] == (kind == 'lost')


def test_frames_without_a_result_are_not_live(state: LiveState, clock: Clock) -> None:
    state.add_frame(drone.frame(1, outcome=2))
    assert state.snapshot()['state'] == {'kind': 'waiting', 'words': 'no result yet'}
    state.add_frame(drone.frame(2))
    for _ in range(4):
        clock.now_s += 2
        state.add_frame(drone.frame(3, outcome=2))
    shown = state.snapshot()
    assert shown['state'] == {'kind': 'waiting', 'words': 'no result for 8 s'}
    assert shown['result_age_s'] == 8 and shown['frame_age_s'] == 0
    state.add_policy(drone.policy('return', min_period=6.0))
    assert state.snapshot()['state']['kind'] == 'live', 'the mission wants no more'


def test_a_weak_link_and_a_busy_server_are_no_lost_ones(state: LiveState) -> None:
    drone.fill(state)
    heard(state, '/drone1/edge_inference', warning('link', '3 of 9 tensors were not answered'),
          warning('server load', 'overloaded'), error('server /server', f'gone{JUST_OVER}'))
    assert state.snapshot()['state']['kind'] == 'live'


def test_what_flies_is_reported_with_all_that_means_nothing(state: LiveState) -> None:
    assert state.snapshot()['caveats'] == []
    drone.fill(state)
    heard(state, '/drone1/camera', source='photos+terrain', shows='9 pictures')
    heard(state, '/drone1/edge_inference', model='aerial', weights='trained on generated terrain',
          emulates='raspberry_pi_3b_plus')
    state.add_frame(drone.frame(9, split=0, split_name='input', runtime='', device=''))
    shown = state.snapshot()
    assert shown['about'] == {'model': 'aerial', 'weights': 'trained on generated terrain',
                              'source': '9 pictures'}
    assert shown['caveats'] == state.caveats() == [
        'labels mean nothing on photographs: the network was trained on generated terrain',
        'EMULATED meter: its power is modelled, not measured',
        'EMULATED computer: layers on board are paced as on raspberry_pi_3b_plus']
    assert state.closing_lines()[-1] == shown['caveats'][0]  # other lines tell what is emulated
    state.add_result(drone.result(9, trained=False))
    assert state.caveats()[0] == 'UNTRAINED network: its labels mean nothing'


def test_the_recording_and_the_flight_clock(state: LiveState, clock: Clock) -> None:
    shown = state.snapshot()
    assert shown['recording'] is None and shown['flight_s'] is None
    heard(state, '/drone1/recorder', bag='flights/a', messages='12')
    state.add_frame(drone.frame(1))
    clock.now_s += 4
    shown = state.snapshot()
    assert shown['flight_s'] == 4
    assert shown['recording'] == {'on': True, 'bag': 'flights/a', 'messages': '12'}
    heard(state, '/drone1/recorder', error('bag', 'recording ended: the disk is full'))
    assert state.snapshot()['recording']['on'] is False


def test_power_says_that_it_is_emulated_and_counts_per_result(state: LiveState) -> None:
    drone.fill(state)
    shown = state.snapshot()['power']
    assert shown['emulated'] and shown['per_result'] == pytest.approx(1.2)
    assert shown['metered'] == pytest.approx(1.0)
    assert shown['frame']['above_idle'] == pytest.approx(0.2)
    assert shown['frame']['residual'] == 0.3
    state.add_energy(drone.energy(sequence=8, energy=0.0, idle_energy=0.0))  # it was dropped
    assert state.snapshot()['power']['frame']['energy'] == 0.6


def test_a_server_with_a_meter_says_what_it_draws(state: LiveState) -> None:
    for figures, known in (({}, (31.5, 3.25, 'RAPL package-0')),
                           ({'power': nan, 'frame_energy': nan, 'power_source': ''},
                            (None, None, ''))):
        state.add_server('/server', drone.status(**figures))
        shown = state.snapshot()['servers'][0]
        assert (shown['power'], shown['frame_energy'], shown['meter']) == known


def picture_of(state: LiveState) -> tuple[Any, dict[str, Any] | None]:
    found = state.picture()
    assert found is not None
    return found


def test_a_picture_comes_with_the_result_of_its_own_image(state: LiveState, clock: Clock) -> None:
    assert state.picture() is None
    state.add_picture(drone.header(1), b'one')
    assert picture_of(state)[1] is None
    state.add_result(drone.result(1, 'forest'))
    state.add_result(drone.result(2, 'water'))
    state.add_picture(drone.header(3), b'three')  # its result is still under way
    picture, result = picture_of(state)
    assert picture.jpeg == b'one' and result and result['labels'][0]['label'] == 'forest'
    clock.now_s += 60
    state.add_picture(drone.header(4), b'four')  # the results have stopped, the camera has not
    picture, result = picture_of(state)
    assert picture.jpeg == b'four' and result is None


def result_shown(state: LiveState) -> dict[str, Any]:
    found = picture_of(state)[1]
    assert found is not None
    return found


def test_objects_are_counted_by_label_and_none_is_a_result_too(state: LiveState) -> None:
    state.add_result(drone.objects(1, ('cat', 0.9), ('dog', 0.8), ('cat', 0.7), ('cup', 0.6)))
    shown = state.snapshot()['result']
    assert [(x['label'], x['count'], x['score']) for x in shown['labels']] == [
        ('cat', 2, 0.9), ('dog', 1, 0.8), ('cup', 1, 0.6)]
    assert shown['words'] == '2 cat, 1 dog, 1 cup' and shown['kind'] == 'detection'
    assert len({x['colour'] for x in shown['labels']}) == 3
    state.add_result(drone.objects(2))
    state.add_picture(drone.header(2), b'')
    assert result_shown(state)['words'] == state.snapshot()['result']['words'] == 'nothing found'
    assert state.digest == 'd1'


@pytest.mark.parametrize(('kind', 'found', 'words'), [
    ('segmentation', [('background', 0, 0.75), ('cat', 8, 0.25)], 'background 75%, cat 25%'),
    ('tensors', [], 'tensors without labels')])
def test_maps_and_tensors_are_results_too(
        state: LiveState, kind: str, found: list[tuple[str, int, float]], words: str) -> None:
    fields: dict[str, Any] = {
        name: [row[k] for row in found] for k, name in enumerate(('labels', 'ids', 'scores'))}
    state.add_result(drone.result(1, kind=kind, **fields))
    shown = state.snapshot()['result']
    assert shown['words'] == words
    clear = [x['colour'] == 'transparent' for x in shown['labels']]
    assert clear == [row[1] == 0 for row in found], 'class 0 is not drawn'


def test_boxes_come_with_their_picture_in_shares_of_it(state: LiveState) -> None:
    state.add_picture(drone.header(1), b'one')
    state.add_result(drone.objects(1, ('cat', 0.75), ('cat', 0.7)))
    state.add_detections(drone.detections(1, (64, 48, 320, 240), (600, 0, 900, 480),
                                          (320, 100, 320, 200), (700, 10, 800, 20)))
    found = result_shown(state)
    assert [b['box'] for b in found['boxes']] == [[0.1, 0.1, 0.5, 0.5], [0.9375, 0, 1, 1]]
    assert found['boxes'][0]['colour'] and found['boxes_left_out'] == 0
    state.add_detections(drone.detections(1, *[(0, 0, 9, 9)] * 1000))
    found = result_shown(state)
    assert len(found['boxes']) == 100 and found['boxes_left_out'] == 900


def test_a_class_map_is_wanted_once_for_a_picture(state: LiveState) -> None:
    assert not state.awaits_details(drone.header(1))
    state.add_picture(drone.header(1), b'one')
    assert state.awaits_details(drone.header(1))
    state.add_class_map(drone.header(1), 'A' * 5000)
    assert not state.awaits_details(drone.header(1))
    state.add_result(drone.result(1, kind='segmentation'))
    heard(state, '/drone1/edge_inference', fit='letterbox')
    found = result_shown(state)
    assert found['map'] == 'A' * 5000 and found['fit'] == 'letterbox'


def test_an_unknown_server_and_an_estimate_that_is_none_are_reported(state: LiveState) -> None:
    state.add_decision(drone.decision())
    shown = state.snapshot()
    assert [s['age_s'] for s in shown['servers']] == [None, None]
    assert shown['link']['bandwidth'] is None and shown['link']['time'] is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=500),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(), x, max_size=4), max_leaves=20)


@given(ANYTHING)
def test_whatever_comes_is_json_without_control_characters(value: Any) -> None:
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=False)
    assert text.isprintable()


def test_what_is_not_finite_or_too_long_is_cut() -> None:
    assert plain([nan, inf, 1.5, 'a\x1b[31mb\n']) == [None, None, 1.5, r'a\x1b[31mb\n']
    assert len(plain('x' * 100_000)) == 600


def test_memory_is_bounded_whatever_comes(state: LiveState) -> None:
    for n in range(3000):
        state.add_frame(drone.frame(n, split=n, split_name=f'cut{n}'))
        state.add_result(drone.result(n))
        state.add_result(drone.objects(n, (f'thing{n}', 0.5)))
        state.add_detections(drone.detections(n, (0, 0, 9, 9)))
        state.add_health(f'node{n}', 0, '', {})
        state.add_picture(drone.header(n), b'')
    state.add_health('node', 2, '', {f'ERROR {n}': 'x' * 100 for n in range(3000)})
    for n in range(200):
        state.add_health(f'node{n}', 2, 'broken ' * 100, {})
    assert len(state.snapshot()['warnings']) <= 64
    for store in (state.frames, state.labels, state.details, state.health, state.cuts,
                  state.pictures, state.summary._recent, state.summary.found['detection'].rows()):
        assert len(store) <= 2048
    assert state.summary.found['detection'].rows()[0].label == 'other labels'
    assert 'node2999' in state.health and len(json.dumps(state.snapshot())) < 200_000


def test_it_is_read_while_it_is_fed(state: LiveState) -> None:
    done = threading.Event()

    def feed() -> None:
        try:
            for n in range(1, 2000):
                state.add_frame(drone.frame(n, reason=f'{n}', outcome=2))
                state.add_health(f'{n}', 0, '', {})
        finally:
            done.set()
    thread = threading.Thread(target=feed)
    thread.start()
    while not done.is_set():
        assert state.snapshot()['counts']['under_way'] == 0
    thread.join()
