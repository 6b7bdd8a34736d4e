"""Make a complete, indexed copy of a bag whose recorder was killed, for other tools."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from offload_perception.console import command
from offload_perception.recording import BagReader, recover


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Recover a bag."""
    parser = argparse.ArgumentParser(prog='recover_bag', description=__doc__)
    parser.add_argument('bag', help='folder of a bag, or one of its .mcap files')
    parser.add_argument('out', nargs='?', help='folder of the copy (default: BAG_recovered)')
    args = parser.parse_args(argv)
    bag = Path(args.bag)
    out = args.out or bag.with_name(f'{bag.stem}_recovered')
    reader = BagReader(bag)
    print(f'{recover(reader, out)} messages in {out}')
    print('\n'.join(reader.notes))
    return 0
