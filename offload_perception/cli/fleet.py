"""Fly a fleet on this machine: several drones, the servers they share, and one live page."""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from offload_perception.bringup.arguments import listing
from offload_perception.bringup.fleet_graph import Member, arguments, members
from offload_perception.bringup.fleet_runner import FleetRunner
from offload_perception.bringup.process_runner import parse_words
from offload_perception.console import command
from offload_perception.errors import OffloadError
from offload_perception.stopping import StopSignal

if TYPE_CHECKING:
    from offload_perception.nodes.monitor import MonitorNode

READY_TIMEOUT_S = 900.0  # the first use of the full VGG16 prepares it
DRAIN_TIMEOUT_S = 5.0


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Fly until Ctrl-C or for a time; return 1 if a node ended by itself or a count is wrong."""
    args = _parser().parse_args(argv)
    parts = members(parse_words(['exit_when_refused:=true', *args.arguments]))
    drones = [f'/{m.name}' for m in parts if m.name.startswith('drone')]
    from offload_perception.nodes.listening import listening  # needs ROS

    stop, died = StopSignal(), list[str]()
    with listening('/', parts[-1].settings['server'], fleet=True) as monitor:
        monitor.expect(drones)
        try:
            _fly(FleetRunner(parts), monitor, drones, args.duration, stop, died)
        finally:  # report what arrived, whatever failed
            print('\n'.join(monitor.fleet.closing_lines()), flush=True)
        wrong = [d for d in drones if not monitor.fleet.drones[d].summary.adds_up()]
    for name in wrong:
        print(f'error: the counters of {name} do not agree with the frames seen')
    for said in died:
        print(f'error: {said}')
    return 1 if wrong or died else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='fleet', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f'arguments, as for ros2 launch, with their defaults:\n{listing(arguments())}')
    parser.add_argument('--duration', type=float, default=inf, metavar='S',
                        help='end after S seconds of flight (default: on Ctrl-C)')
    parser.add_argument('arguments', nargs='*', metavar='name:=value')
    return parser


def _fly(runner: FleetRunner, monitor: 'MonitorNode', drones: list[str], duration_s: float,
         stop: StopSignal, died: list[str]) -> None:
    """Start the fleet, watch it, and end it so that the outcome of every frame arrives.

    :param died: takes the nodes that end by themselves in flight, in words.
    """
    from offload_perception.nodes.activator import Activator  # needs ROS

    with runner:
        runner.start()
        players, others = (runner.nodes(players=which) for which in (True, False))
        if (_wait_until_all(runner, others, partial(_is_active, monitor), stop)
                and _wait_until_all(runner, players, Activator(monitor).activated, stop)):
            _watch(runner, monitor, duration_s, stop, died)
        runner.stop(Member.plays)
        _drain(lambda: not any(monitor.fleet.drones[d].summary.under_way for d in drones))
        runner.stop(lambda m, n: n.name == 'edge_inference')
        _drain(lambda: not any(monitor.fleet.drones[d].summary.under_way for d in drones))


def _wait_until_all(runner: FleetRunner, awaited: list[str], ready: Callable[[str], bool],
                    stop: StopSignal) -> bool:
    """Wait until each of some nodes is ready; return False if a stop is requested."""
    give_up_s = time.monotonic() + READY_TIMEOUT_S
    while not stop.wait(0.1):
        for name, code in runner.ended():
            raise OffloadError(f'{name} exited by itself with code {code}; see its last lines '
                               'above')
        awaited = [name for name in awaited if not ready(name)]
        if not awaited:
            return True
        if time.monotonic() > give_up_s:
            raise OffloadError(f'{", ".join(awaited)}: not ready after {READY_TIMEOUT_S:.0f} s')
    return False


def _is_active(monitor: 'MonitorNode', name: str) -> bool:
    health = monitor.fleet.node(name)
    return health is not None and health.active


def _watch(runner: FleetRunner, monitor: 'MonitorNode', duration_s: float, stop: StopSignal,
           died: list[str]) -> None:
    """Print a line a second until the time is over or a stop is requested."""
    started = last = time.monotonic()
    while last - started < duration_s:
        if stop.wait(min(1.0, duration_s - (last - started))):
            return
        for name, code in runner.ended():
            died.append(f'{name} ended by itself with code {code}')
            print(f'{died[-1]}; the others go on', flush=True)
        last = time.monotonic()
        print(f'{last - started:6.1f} s | {monitor.fleet.line()}', flush=True)


def _drain(done: Callable[[], bool]) -> None:
    """Wait, bounded, until all telemetry has arrived."""
    give_up_s = time.monotonic() + DRAIN_TIMEOUT_S
    while not done() and time.monotonic() < give_up_s:
        time.sleep(0.02)
