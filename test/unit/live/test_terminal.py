import io
from math import inf

import pytest
from unit.live import drone
from unit.live.drone import Clock

from offload_perception.live.fleet_state import FleetState
from offload_perception.live.state import LiveState

console = pytest.importorskip('rich.console')


def shown(state: LiveState, width: int, height: float = inf, **how: bool) -> str:
    from offload_perception.live.terminal import render

    screen = console.Console(width=width, file=io.StringIO(), **(how or {'force_terminal': True}))
    screen.print(render(state.snapshot(), width, height))
    return screen.file.getvalue()


@pytest.mark.parametrize('width', [60, 120])
def test_the_panels_show_what_the_page_shows(state: LiveState, width: int) -> None:
    drone.fill(state)
    words = ' '.join(shown(state, width).replace('│', ' ').split())
    for text in ('captured 8 = remote 7 + local 0 + dropped 1', 'dropped, no reply: 1', '5.25 W',
                 'EMULATED', 'block4_pool', 'openvino on cpu', 'forest 90%',
                 '/server2: no messages', 'a reading is missing',
                 'mission policy economy: battery at 25%'):
        assert text in words, text
    if width == 120:
        assert 'rejected 3, 31.50 W, 3.250 J a frame' in words


def test_objects_are_counted_in_the_head(state: LiveState) -> None:
    drone.fill(state)
    state.add_result(drone.objects(9, ('cat', 0.9), ('cat', 0.7), *((f'x{n}', 0.5)
                                                                 for n in range(9))))
    assert '2 cat, 1 x0, 1 x1 and 7 more' in shown(state, 120)


def test_80_by_24_shows_warnings_power_link_and_servers(state: LiveState) -> None:
    drone.fill(state)
    state.add_server('/server2', drone.status())
    state.add_health('/drone1/edge_inference', 2, '', {
        'ERROR link': 'link lost: no reply from /server to 12 tensors; is the network up, and '
                      'does the server still run?', 'WARN heat': 'the CPU is throttled at 85 C',
        'model': 'aerial', 'weights': 'trained on generated terrain'})
    lines = shown(state, 80, 24, force_terminal=False).splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    words = ' '.join(' '.join(lines).split())
    for text in ('/server lost', 'error edge_inference: link lost: no reply', 'still run?',
                 'a reading is missing', 'throttled', '5.25 W, 1.200 J', 'emulated UM25C', 'sent ',
                 '2500 kB/s', '/server: openvino on cpu, busy 0.25', '/server2: openvino',
                 'aerial (trained on generated terrain)', 'labels mean nothing on photographs'):
        assert text in words, text


def test_a_server_that_is_not_used_is_silent_without_alarm(state: LiveState, clock: Clock) -> None:
    drone.fill(state)
    clock.turn(20)
    assert '/server: SILENT for 20 s' in shown(state, 80)
    state.add_decision(drone.decision(server=''))
    assert '/server: silent for 20 s, no frame goes there' in shown(state, 80)


def test_a_bandwidth_that_cannot_be_known_is_unknown(state: LiveState) -> None:
    drone.fill(state)
    state.add_decision(drone.decision(bandwidth=float('nan'), round_trip=0.004))
    words = ' '.join(shown(state, 200).replace('│', ' ').split())
    assert 'bandwidth unknown' in words and 'round trip 4.0 ms' in words and 'kB/s;' not in words


def test_more_warnings_than_room_are_counted(state: LiveState) -> None:
    drone.fill(state)
    for n in range(40):
        state.add_health(f'/drone1/n{n}', 1, f'warm {n}; ' + 'x ' * 60, {})
    lines = shown(state, 80, 24, force_terminal=False).splitlines()
    assert len(lines) <= 24 and any('more' in line for line in lines)
    assert 'SILENT' not in ''.join(lines)


def test_nothing_heard_is_shown_as_such(state: LiveState, clock: Clock) -> None:
    assert 'no messages from /drone1' in shown(state, 80)
    state.add_health('/drone1/camera', 0, 'playing', {})
    assert 'no frame yet' in shown(state, 80) and 'no power meter' in shown(state, 80)
    drone.fill(state)
    clock.now_s += 60
    assert 'no frame for 60 s' in shown(state, 80)


def test_a_text_is_neither_markup_nor_a_command_to_the_terminal(state: LiveState) -> None:
    drone.fill(state, label='[bold red]\x1b[2Jgone\x07')
    said = shown(state, 120)
    assert r'[bold red]\x1b[2Jgone' in said and '\x1b[2J' not in said and '\x07' not in said


def test_untrained_labels_are_said_to_mean_nothing(state: LiveState) -> None:
    state.add_frame(drone.frame())
    state.add_result(drone.result(trained=False))
    assert 'UNTRAINED' in shown(state, 80) and 'UNTRAINED' in shown(state, 120)


def a_fleet(fleet: FleetState, drones: int) -> FleetState:
    fleet.found([f'/drone{n}' for n in range(1, drones + 1)], ())
    for state in fleet.drones.values():
        drone.fill(state)
    fleet.add_server('/server', drone.status())
    return fleet


def drawn(fleet: FleetState, asked: str, width: int, height: int) -> list[str]:
    from offload_perception.live.terminal import render

    screen = console.Console(width=width, file=io.StringIO())
    screen.print(render(fleet.snapshot(asked), width, height))
    return screen.file.getvalue().splitlines()


@pytest.mark.parametrize(('width', 'height'), [(80, 24), (140, 50)])
def test_all_drones_are_in_a_table_above_the_one_in_full(fleet: FleetState, width: int,
                                                         height: int) -> None:
    lines = drawn(a_fleet(fleet, 4), '/drone2', width, height)
    assert len(lines) <= height and max(map(len, lines)) <= width
    table = [line for line in lines if line.startswith('/drone')]
    assert [line.split()[0] for line in table] == ['/drone1', '/drone2', '/drone3', '/drone4']
    assert any('drones' in line and 'wait' in line for line in lines)
    assert any(line.startswith(' /drone2 ') for line in lines), 'in full'
    if width > 100:
        assert 'live' in table[0] and '88 %' in table[0] and 'block4_pool rans > /server' in (
            table[0]) and 'no reply, 2 s ago' in table[0]
        assert any(line.startswith('/server ') and '1.3 of 8' in line for line in lines)
        assert any(line.startswith('/server2: no messages') for line in lines)


def test_of_many_drones_those_next_to_the_chosen_one_are_in_the_table(fleet: FleetState) -> None:
    lines = drawn(a_fleet(fleet, 40), '/drone20', 80, 24)
    table = [line.split()[0] for line in lines if line.startswith('/drone')]
    assert '/drone20' in table and len(table) == 4 and 'and 36 more drones' in '\n'.join(lines)
    assert len(lines) <= 24


def test_one_drone_has_no_table(fleet: FleetState) -> None:
    assert not any(line.startswith('/drone1') for line in drawn(a_fleet(fleet, 1), '', 80, 24))


@pytest.mark.parametrize(('shown', 'keys', 'next'), [
    ('/a', 'n', '/b'), ('/a', '\x1b[B', '/b'), ('/b', 'p', '/a'), ('/a', '\x1b[A', '/c'),
    ('/c', 'n', '/a'), ('/a', 'nn', '/c'), ('/a', '', '/a'), ('/a', 'x\x1b', '/a'),
    ('/gone', 'n', '/a'), ('/gone', 'p', '/c')])
def test_keys_choose_the_drone(shown: str, keys: str, next: str) -> None:
    from offload_perception.live.terminal import other_drone

    assert other_drone(['/a', '/b', '/c'], shown, keys) == next
    assert other_drone([], shown, keys) == shown
