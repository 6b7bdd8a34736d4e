"""Watch running drones: a live line a second of one, or a full view of one and a table of all."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from offload_perception.console import command
from offload_perception.stopping import StopSignal

if TYPE_CHECKING:
    from offload_perception.nodes.monitor import MonitorNode

VIEW_PERIOD_S = 0.5


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Watch until Ctrl-C or for a time, and close with what was seen."""
    parser = argparse.ArgumentParser(prog='monitor', description=__doc__)
    parser.add_argument('--drone', '--namespace', metavar='NAMESPACE',
                        help='namespace of the drone (default: drone1; with --view the first '
                        'that is found, if that is not there)')
    parser.add_argument('--server', default='',
                        help='namespace of the server, or several with commas (default: those '
                        'that the drone uses)')
    parser.add_argument('--view', action='store_true',
                        help='panels over the whole terminal, with all drones and servers of the '
                        'network in a table; lines of one drone if the output is no terminal')
    parser.add_argument('--duration', type=float, default=float('inf'), metavar='S')
    args = parser.parse_args(argv)
    from offload_perception.nodes.listening import listening  # needs ROS

    stop, in_full = StopSignal(), args.view and sys.stdout.isatty()
    with listening(args.drone or 'drone1', args.server, fleet=in_full) as node:
        node.ask(node.get_namespace() if args.drone else '')
        (_view if in_full else _lines)(node, args.duration, stop)
        print('\n'.join(node.fleet.shown(node.asked).closing_lines()), flush=True)
    return 0


def _lines(node: 'MonitorNode', duration_s: float, stop: StopSignal) -> None:
    started = last = time.monotonic()
    while last - started < duration_s and not stop.wait(1.0):
        now = time.monotonic()
        line = node.summary.live_line(now - last)
        print(f'{now - started:6.1f} s | {node.absent() or line}', flush=True)
        last = now


def _view(node: 'MonitorNode', duration_s: float, stop: StopSignal) -> None:
    from offload_perception.live.terminal import Screen, other_drone

    end_s = time.monotonic() + duration_s
    with Screen() as screen:
        while time.monotonic() < end_s and not stop.wait(
                0.0 if screen.takes_keys else VIEW_PERIOD_S):
            shown = node.snapshot()
            screen.show(shown)
            keys = screen.keys(VIEW_PERIOD_S) if screen.takes_keys else ''
            if 'q' in keys:
                return
            names = [d['name'] for d in shown['fleet']['drones']]
            if (chosen := other_drone(names, shown['drone'], keys)) != shown['drone']:
                node.ask(chosen)
