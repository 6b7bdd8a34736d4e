"""Watch a running drone: a live line a second, or a full view."""

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
    parser.add_argument('--namespace', default='drone1', help='of the drone (default: drone1)')
    parser.add_argument('--server', default='/server',
                        help='namespace of the server, or several with commas')
    parser.add_argument('--view', action='store_true',
                        help='panels over the whole terminal; lines if the output is no terminal')
    parser.add_argument('--duration', type=float, default=float('inf'), metavar='S')
    args = parser.parse_args(argv)
    from offload_perception.nodes.listening import listening  # needs ROS

    stop = StopSignal()
    show = _view if args.view and sys.stdout.isatty() else _lines
    with listening(args.namespace, args.server) as node:
        show(node, args.duration, stop)
        print('\n'.join(node.state.closing_lines()), flush=True)
    return 0


def _lines(node: 'MonitorNode', duration_s: float, stop: StopSignal) -> None:
    started = last = time.monotonic()
    while last - started < duration_s and not stop.wait(1.0):
        now = time.monotonic()
        line = node.summary.live_line(now - last)
        print(f'{now - started:6.1f} s | {node.absent() or line}', flush=True)
        last = now


def _view(node: 'MonitorNode', duration_s: float, stop: StopSignal) -> None:
    from offload_perception.live.terminal import Screen

    end_s = time.monotonic() + duration_s
    with Screen() as screen:
        while time.monotonic() < end_s and not stop.wait(VIEW_PERIOD_S):
            screen.show(node.snapshot())
