"""Publish the messages of a bag again, in their timing, where `ros2 bag play` is not installed.

To run drone and server from recorded images, play only the images and start no camera:
replay BAG --topics /image_raw
"""

import argparse
from collections.abc import Sequence

from offload_perception.cli.command import command, progress
from offload_perception.cli.stopping import StopSignal
from offload_perception.errors import ConfigError
from offload_perception.recording import BagReader
from offload_perception.recording.playback import Selection, parse_renames


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Replay a bag until its end or Ctrl-C."""
    args = _parser().parse_args(argv)
    if not 0.001 <= args.rate <= 1000:
        raise ConfigError(f'--rate is {args.rate}; it has to lie in 0.001 .. 1000')
    selection = Selection(tuple(args.topics), parse_renames(args.remap))
    reader = BagReader(args.bag)
    from offload_perception.nodes.player import replay  # needs ROS

    progress(f'playing {args.bag}')
    published = replay(reader, selection, rate=args.rate, loop=args.loop, wait_s=args.wait,
                       stop=StopSignal())
    print(f'{published} messages published')
    for file in reader.truncated:
        print(f'{file} ends early: its recorder was killed')
    return 0


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
                        help='wait so long for a subscriber to every topic (default: 1)')
    return parser
