"""Publish the messages of a bag again, in their timing, if `ros2 bag play` is not installed.

To run drone and server from recorded images, play only the images and start no camera:
replay BAG --topics /image_raw
"""

import argparse
from collections.abc import Sequence

from offload_perception.console import command, progress
from offload_perception.errors import ConfigError
from offload_perception.recording import BagReader
from offload_perception.recording.playback import Selection, parse_renames
from offload_perception.stopping import StopSignal


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Replay a bag until its end or Ctrl-C."""
    args = _parser().parse_args(argv)
    _check('--rate', args.rate, 0.001, 1000)
    _check('--wait', args.wait, 0, 3600)
    if args.clock is not None:
        _check('--clock', args.clock, 0.1, 1000)
    selection = Selection(tuple(args.topics), parse_renames(args.remap))
    reader = BagReader(args.bag)
    from offload_perception.nodes.player import replay  # needs ROS

    progress(f'playing {args.bag}')
    published = replay(reader, selection, rate=args.rate, loop=args.loop, wait_s=args.wait,
                       clock_hz=args.clock, stop=StopSignal())
    print('\n'.join([f'{published} messages published', *reader.notes]))
    return 0


def _check(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f'{option} is {value}; it has to lie in {low} .. {high}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='replay', description=__doc__)
    parser.add_argument('bag', help='folder of a bag, or one of its .mcap files')
    parser.add_argument('--rate', type=float, default=1.0, metavar='X',
                        help='times the recorded speed (default: 1)')
    parser.add_argument('--loop', action='store_true', help='begin again at the end')
    parser.add_argument('--topics', nargs='+', default=[], metavar='REGEX',
                        help='play only topics whose name contains one of these')
    parser.add_argument('--remap', nargs='+', default=[], metavar='/OLD:=/NEW',
                        help='play topics under other names')
    parser.add_argument('--wait', type=float, default=1.0, metavar='S',
                        help='longest wait for a subscriber to every topic (default: 1)')
    parser.add_argument('--clock', type=float, nargs='?', const=40.0, metavar='HZ',
                        help='also publish the time of the bag on /clock, so often a second '
                             '(default: 40), for nodes with use_sim_time')
    return parser
