import io

import drone
import pytest

from offload_perception.live.state import LiveState

console = pytest.importorskip('rich.console')


def shown(state: LiveState, width: int) -> str:
    from offload_perception.live.terminal import render

    screen = console.Console(width=width, file=io.StringIO(), force_terminal=True)
    screen.print(render(state.snapshot(), width))
    return screen.file.getvalue()


@pytest.fixture
def clock():
    return drone.Clock()


@pytest.fixture
def state(clock):
    return LiveState('/drone1', ('/server', '/server2'), clock)


@pytest.mark.parametrize('width', [60, 120])
def test_the_panels_show_what_the_page_shows(state, width):
    drone.fill(state)
    words = ' '.join(shown(state, width).replace('│', ' ').split())
    for text in ('captured 8 = remote 7 + local 0 + dropped 1', 'dropped, no reply: 1', '5.25 W',
                 'EMULATED', 'block4_pool', 'openvino on cpu', 'forest 90%', '/server2: not heard',
                 'a reading is missing', 'mission policy economy: battery at 25%'):
        assert text in words, text


def test_nothing_heard_is_shown_as_such(state, clock):
    assert 'no frame yet' in shown(state, 80) and 'no meter heard' in shown(state, 80)
    drone.fill(state)
    clock.now_s += 60
    assert 'NO FRAME FOR 60 s' in shown(state, 80)


def test_a_text_is_neither_markup_nor_a_command_to_the_terminal(state):
    drone.fill(state, label='[bold red]\x1b[2Jgone\x07')
    said = shown(state, 120)
    assert '[bold red] [2Jgone' in said and '\x1b[2J' not in said and '\x07' not in said


def test_untrained_labels_are_said_to_mean_nothing(state):
    state.add_frame(drone.frame())
    state.add_result(drone.result(trained=False))
    assert 'UNTRAINED' in shown(state, 80)
