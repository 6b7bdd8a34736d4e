"""Fly the demo: the whole graph on this machine, a live line a second, and a closing line."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from offload_perception.bringup.arguments import Settings, arguments, listing
from offload_perception.bringup.graph import DRONE
from offload_perception.bringup.process_runner import STAY_INACTIVE, GraphRunner, parse_arguments
from offload_perception.errors import OffloadError
from offload_perception.stopping import StopSignal

if TYPE_CHECKING:
    from offload_perception.nodes.monitor import MonitorNode

READY_TIMEOUT_S = 900.0  # the first use of the full VGG16 prepares it
DRAIN_TIMEOUT_S = 5.0


class NodeDied(OffloadError):
    """A node exited by itself; `code` is its exit code, never 0."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f'{name} exited by itself with code {code}; see its last lines above')
        self.code = 128 - code if code < 0 else code or 1  # 128 + signal, as in a shell


def main(argv: list[str] | None = None) -> int:
    """Run the demo; return the exit code of a node that died, else 0."""
    args = _parser().parse_args(argv)
    try:
        settings = parse_arguments(DRONE, ['exit_when_refused:=true', *args.arguments])
        return _fly(settings, args.duration, StopSignal())
    except NodeDied as e:
        print(f'error: {e}', file=sys.stderr)
        return e.code
    except OffloadError as e:
        print(f'error: {e}', file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='demo', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f'arguments, as for ros2 launch, with their defaults:\n'
        f'{listing(arguments(DRONE))}')
    parser.add_argument('--duration', type=float, default=None, metavar='S',
                        help='end after S seconds of flight (default: on Ctrl-C)')
    parser.add_argument('arguments', nargs='*', metavar='name:=value')
    return parser


def _fly(settings: Settings, duration_s: float | None, stop: StopSignal) -> int:
    from offload_perception.nodes.listening import listening  # needs ROS

    server = settings['server'].partition(',')[0]
    with listening(settings['namespace'], server) as monitor:
        complaints: list[str] = []
        try:
            _run(settings, monitor, duration_s, stop, complaints)
        finally:  # report what arrived, even if a node died
            lines = monitor.state.closing_lines(monitor.state.images_published)
            print('\n'.join([*lines, *complaints]), flush=True)
    # The user's own camera may publish before this process is subscribed to the telemetry.
    if settings.player and not monitor.summary.adds_up():
        print("error: the drone's counters do not agree with the frames seen", file=sys.stderr)
        return 1
    return 0


def _run(settings: Settings, monitor: 'MonitorNode', duration_s: float | None, stop: StopSignal,
         complaints: list[str]) -> None:
    """Start the graph, watch it, and end it so that the outcome of every frame arrives.

    :param complaints: called with the last findings of the nodes, before they are stopped.
    """
    from offload_perception.nodes.activator import Activator  # needs ROS

    with GraphRunner(DRONE, settings) as graph:
        player = settings.player
        graph.start(*(n.name for n in DRONE if n.name != player))
        graph.start(player, **STAY_INACTIVE)
        activator, name = Activator(monitor), f'{monitor.get_namespace().rstrip("/")}/{player}'
        if (_wait_until(lambda: _is_ready(graph, monitor, player), graph, stop)
                and _wait_until(lambda: not player or activator.activated(name), graph, stop)):
            try:
                _watch(graph, monitor, duration_s, stop)
            finally:
                complaints += monitor.state.complaints()
        graph.stop(player)
        _drain(lambda: not _is_active(monitor, player) and not monitor.summary.under_way)
        graph.stop('edge_inference')
        _drain(lambda: not monitor.summary.under_way)


def _is_ready(graph: GraphRunner, monitor: 'MonitorNode', player: str) -> bool:
    """Return whether all that a frame needs is there, but the node that plays the source."""
    return (monitor.server_seen or 'remote_inference' not in graph) and all(
        name not in graph or name == player or _is_active(monitor, name)
        for name in ('edge_inference', 'recorder', 'dashboard', 'flight'))


def _is_active(monitor: 'MonitorNode', name: str) -> bool:
    health = monitor.health_of(name)
    return health is not None and health.active


def _wait_until(ready: Callable[[], bool], graph: GraphRunner, stop: StopSignal) -> bool:
    """Wait until the nodes are ready; return False if a stop is requested first."""
    give_up_s = time.monotonic() + READY_TIMEOUT_S
    while not stop.wait(0.1):
        _check_alive(graph)
        if ready():
            return True
        if time.monotonic() > give_up_s:
            raise OffloadError(f'the nodes are not ready after {READY_TIMEOUT_S:.0f} s')
    return False


def _watch(graph: GraphRunner, monitor: 'MonitorNode', duration_s: float | None,
           stop: StopSignal) -> None:
    """Print a line a second until the time is over or a stop is requested."""
    started = last = time.monotonic()
    while duration_s is None or last - started < duration_s:
        if stop.wait(1.0 if duration_s is None else min(1.0, duration_s - (last - started))):
            return
        _check_alive(graph)
        now = time.monotonic()
        print(f'{now - started:6.1f} s | {monitor.summary.live_line(now - last)}', flush=True)
        last = now


def _check_alive(graph: GraphRunner) -> None:
    if dead := graph.dead():
        raise NodeDied(*dead)


def _drain(done: Callable[[], bool]) -> None:
    """Wait, bounded, until all telemetry has arrived."""
    give_up_s = time.monotonic() + DRAIN_TIMEOUT_S
    while not done() and time.monotonic() < give_up_s:
        time.sleep(0.02)
