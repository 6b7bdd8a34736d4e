"""Show or change cut, codec and deadline of a running drone."""

import argparse
from collections.abc import Sequence

from offload_perception.bringup.tuning import TUNABLE
from offload_perception.console import command


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Set one parameter, and show the values of all that can change in flight."""
    parser = argparse.ArgumentParser(
        prog='tune', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='\n'.join(f'{name}: {f.metadata["description"]}' for name, f in TUNABLE.items()))
    parser.add_argument('parameter', nargs='?', help=f'one of {", ".join(TUNABLE)}; without it '
                        'the values are shown')
    parser.add_argument('value', nargs='?', help='for example block3_pool, -1, webp:80, 0.5')
    parser.add_argument('--namespace', default='drone1', help='of the drone (default: drone1)')
    parser.add_argument('--timeout', type=float, default=5.0, metavar='S',
                        help='how long to wait for the drone (default: 5)')
    args = parser.parse_args(argv)
    if (args.parameter is None) != (args.value is None):
        parser.error(f'give a value for {args.parameter}, or nothing to see what holds')
    from offload_perception.nodes.tuner import tuning  # needs ROS

    with tuning(args.namespace) as tuner:
        if args.parameter is not None:
            tuner.set(args.parameter, args.value, args.timeout)
        for name, value in tuner.values(args.timeout).items():
            print(f'{name}: {value}')
    return 0
