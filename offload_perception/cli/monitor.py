"""Watch a drone that flies already: a live line a second, a closing line on Ctrl-C."""

import argparse
import time

from offload_perception.cli.stopping import StopSignal


def main(argv: list[str] | None = None) -> int:
    """Watch until Ctrl-C or for a time."""
    parser = argparse.ArgumentParser(prog='monitor', description=__doc__)
    parser.add_argument('--namespace', default='drone1', help='of the drone (default: drone1)')
    parser.add_argument('--server', default='/server', help='namespace of the server')
    parser.add_argument('--duration', type=float, default=float('inf'), metavar='S')
    args = parser.parse_args(argv)
    from offload_perception.nodes.listening import listening  # needs ROS

    stop = StopSignal()
    started = last = time.monotonic()
    with listening(args.namespace, args.server) as node:
        while last - started < args.duration and not stop.wait(1.0):
            now = time.monotonic()
            print(f'{now - started:6.1f} s | {node.summary.live_line(now - last)}', flush=True)
            last = now
        print('\n'.join(node.summary.closing_lines()), flush=True)
    return 0
