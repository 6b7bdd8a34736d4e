"""A drone is watched, or looked for in vain."""

import sys
from collections.abc import Callable

from graph.command import FLYING, Command

ON_A_TERMINAL = (sys.executable, '-c', 'import pty, sys; pty.spawn(sys.argv[1:])')


def test_a_monitor_says_that_nobody_is_there_and_who_is_elsewhere(
        run: Callable[..., Command], arguments: list[str]) -> None:
    demo = run('demo', *arguments, 'namespace:=d7', 'remote:=false', 'split:=-1')
    demo.said(r'fps')
    lonely = run('monitor', '--namespace', 'nope')
    lonely.said(r'no drone in /nope: there are /d7$')
    lonely.interrupt()
    assert lonely.wait() == 0
    view = run(*ON_A_TERMINAL, 'monitor', '--view', '--namespace', 'nope', '--duration', '600')
    view.said('no drone in /nope: there are /d7')
    view.end()
    demo.interrupt()
    assert demo.wait() == 0, demo.output


def test_a_monitor_alone_says_what_to_look_at(run: Callable[..., Command]) -> None:
    lonely = run('monitor', '--duration', '2')
    assert lonely.wait() == 0
    assert 'no drone in /drone1: nor anywhere else; look at ROS_DOMAIN_ID' in lonely.output


def test_a_camera_of_ones_own_is_flown_from_its_topic(run: Callable[..., Command],
                                                      arguments: list[str]) -> None:
    run('camera_node', '--ros-args', '-r', '__ns:=/front',
        '-p', 'source:=terrain').said('showing')
    demo = run('demo', *arguments, 'camera:=false', 'meter:=none', 'image:=/front/image_raw')
    demo.said(FLYING)
    demo.interrupt()
    assert demo.wait() == 0, demo.output
    assert '[camera]' not in demo.output and '[um25c]' not in demo.output
