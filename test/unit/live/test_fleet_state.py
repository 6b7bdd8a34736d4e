"""The table of all drones and servers, from messages that a test made."""

from typing import Any

import pytest
from unit.live import drone
from unit.live.drone import Clock

from offload_perception.live import fleet_state
from offload_perception.live.fleet_state import FleetState
from offload_perception.telemetry.drone_names import in_order

NAMES = ('/drone1', '/drone2', '/drone10')


def lines(fleet: FleetState, part: str = 'drones') -> dict[str, dict[str, Any]]:
    return {row['name']: row for row in fleet.snapshot()['fleet'][part]}


@pytest.fixture
def three(fleet: FleetState) -> FleetState:
    """Three drones that have flown: two served, one all on board."""
    fleet.found(NAMES, ('/server', '/server2'))
    for name in NAMES:
        drone.fill(fleet.drones[name])
    fleet.drones['/drone10'].add_frame(drone.frame(9, outcome=1, split=21))
    for name in ('/server', '/server2'):
        fleet.add_server(name, drone.status())
    return fleet


def test_numbers_in_names_count_as_numbers() -> None:
    assert in_order(['/d10', '/d9', '/d9/b', '/', '/a']) == ['/', '/a', '/d9', '/d9/b', '/d10']


def test_a_row_says_how_a_drone_flies(three: FleetState, clock: Clock) -> None:
    rows = lines(three)
    assert list(rows) == list(NAMES)
    row = rows['/drone1']
    assert (row['met'], row['with_deadline'], row['deadline']) == (7, 8, 0.2)
    assert row['mean'] == pytest.approx(0.1) and row['per_result'] == pytest.approx(1.2)
    assert row['emulated'] and row['warnings'] == 1, 'its own findings alone'
    assert (row['where'], row['server']) == ('block4_pool rans', '/server')
    assert (row['dropped'], row['frame_age_s']) == ('no reply', row['dropped_age_s'])
    assert (rows['/drone10']['where'], rows['/drone10']['server']) == ('all on board', '')
    clock.turn(7)
    row = lines(three)['/drone1']
    assert row['per_second'] == 0.0 and row['mean'] is None
    assert 'no frame for 8 s' in row['state']['words'] and row['state']['kind'] == 'lost'


def test_a_drone_without_a_frame_is_in_the_table(fleet: FleetState) -> None:
    fleet.found(('/drone7',), ())
    row = lines(fleet)['/drone7']
    assert row['frame_age_s'] is None and row['state']['words'] == 'no messages from /drone7'
    assert (row['where'], row['dropped'], row['per_result']) == ('', '', None)


def test_a_server_that_says_whom_it_serves(three: FleetState, clock: Clock) -> None:
    three.add_served('/server', drone.served(('/a/edge_inference', 0.5), ('/b/edge_inference', 0),
                                             ('/c/edge_inference', 0.25)))
    row = lines(three, 'servers')['/server']
    assert row['drones'] == 2 and [d['drone'] for d in row['served']] == [
        '/a/edge_inference', '/c/edge_inference']
    assert (row['batch'], row['mean_batch']) == (8, pytest.approx(90 / 70))
    assert (row['completed'], row['busy'], row['late'], row['failed']) == (90, 1, 2, 0)
    clock.turn(6)
    assert lines(three, 'servers')['/server']['served'] == [], 'it is outdated'


def test_without_that_the_drones_results_say_it(three: FleetState) -> None:
    rows = lines(three, 'servers')
    assert rows['/server']['drones'] == 2 and rows['/server']['served'] == []
    assert rows['/server2']['drones'] == 0
    three.add_server('/server2', drone.status(batches=[]))
    assert lines(three, 'servers')['/server2']['mean_batch'] is None


def test_diagnostics_of_a_drone_are_its_own_and_those_of_servers_are_for_all(
        three: FleetState) -> None:
    three.add_health('/drone2/camera', 1, 'too dark', {})
    three.add_health('/server/remote_inference', 2, 'overloaded', {})
    three.add_health('/recorder', 0, 'recording', {'bag': 'b', 'messages': '5'})
    said = {name: [w['text'] for w in three.snapshot(name)['warnings']] for name in NAMES}
    assert 'too dark' in said['/drone2'] and all('overloaded' in x for x in said.values())
    assert 'too dark' not in said['/drone1'] + said['/drone10']
    assert three.snapshot('/drone2')['recording']['on'], 'one recorder for all'
    assert three.node('/drone2/camera').message == 'too dark'
    assert three.node('/recorder').active and three.node('/drone2/none') is None


def test_diagnostics_from_before_a_drone_was_found_are_not_another_ones(
        fleet: FleetState) -> None:
    fleet.add_health('/drone2/camera', 1, 'too dark', {})
    assert fleet.snapshot()['warnings']
    fleet.found(('/drone1', '/drone2'), ())
    assert not fleet.snapshot()['warnings']


def test_a_drone_that_is_found_later_knows_what_servers_said_before(three: FleetState,
                                                                    clock: Clock) -> None:
    clock.turn(8)
    three.found((*NAMES, '/late'), ())
    assert three.snapshot('/late')['servers'][0]['silent']


def test_the_own_drone_is_shown_or_the_first_that_there_is(fleet: FleetState) -> None:
    assert fleet.shown() is fleet.own is fleet.shown('/drone1')
    fleet.found(('/drone3', '/drone2'), ())
    assert fleet.shown().drone == '/drone2' and fleet.shown('/drone3').drone == '/drone3'
    fleet.found(('/drone1', '/drone2'), ())
    assert fleet.shown() is fleet.own is fleet.drones['/drone1']
    assert fleet.shown('/drone9').drone == '/drone9' and '/drone9' not in fleet.drones


def test_those_that_have_gone_stay_until_others_need_their_place(
        fleet: FleetState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_state, 'MAX_DRONES', 3)
    fleet.found(('/a', '/b', '/c'), ())
    fleet.found(('/b',), ())
    assert set(fleet.drones) == {'/a', '/b', '/c'}
    fleet.found(('/b', '/d', '/e'), ())
    assert set(fleet.drones) == {'/b', '/d', '/e'} and not fleet.left_out
    fleet.found(('/b', '/d', '/e', '/f', '/g'), ())
    assert set(fleet.drones) == {'/b', '/d', '/e'}
    assert fleet.snapshot()['fleet']['left_out'] == 2


def test_what_nobody_listens_to_is_forgotten(three: FleetState) -> None:
    three.forget_others()
    assert set(three.drones) == {'/drone1'} and three.drones['/drone1'] is three.own


def test_servers_are_bounded(fleet: FleetState) -> None:
    fleet.found((), [f'/s{n}' for n in range(200)])
    assert len(fleet.servers) == fleet_state.MAX_SERVERS and '/server' in fleet.servers
    fleet.add_server('/s199', drone.status())
    fleet.add_served('/s199', drone.served())
    assert '/s199' not in fleet.servers


def test_a_drone_shows_the_servers_that_it_uses(three: FleetState) -> None:
    three.found(NAMES, ('/server', '/gpu', '/other'))
    three.drones['/drone2'].add_frame(drone.frame(10, server='/gpu'))
    for name in ('/gpu', '/other'):
        three.add_server(name, drone.status())
    shown = {n: [s['name'] for s in three.snapshot(n)['servers']] for n in NAMES}
    assert shown['/drone2'] == ['/server', '/server2', '/gpu']
    assert shown['/drone1'] == ['/server', '/server2']
    assert list(lines(three, 'servers')) == ['/gpu', '/other', '/server', '/server2']


def test_the_line_and_the_closing_lines_add_up(three: FleetState, clock: Clock) -> None:
    line = three.line()
    assert line.startswith('3 drones') and '/server 9.5/s | /server2 9.5/s' in line
    assert 'deadline met 88 %' in line
    *each, total = [x for x in three.closing_lines() if 'captured' in x]
    assert [x.split()[0] for x in each] == list(NAMES)
    assert 'captured 8 = remote 7 + local 0 + dropped 1 (no reply 1)' in each[0]
    assert 'deadline met: 87.5% of 8 frames' in each[0]
    assert total == 'all 3 drones: captured 25 = remote 21 + local 1 + dropped 3'
    clock.turn(20)
    assert '1 of 3: /server and /server2 lost, no frame for 20 s' in three.line()
