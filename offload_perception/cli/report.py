"""Report a recorded flight, or several side by side: a page, pictures, a summary, tables."""

import argparse
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from offload_perception.console import command, progress, write_json
from offload_perception.report.analysis import found, key_figures
from offload_perception.report.recorded_flight import load_flight
from offload_perception.report.write_report import write_report


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Report one bag or several."""
    args = _parser().parse_args(argv)
    flights = []
    for bag in args.bags:
        progress(f'reading {bag}')
        flights.append(load_flight(bag, args.namespace))
    out = Path(args.out or f'{args.bags[0].resolve().with_suffix("")}_report')
    progress('drawing')
    write_report(flights, out)
    write_json(args.json, {f.name: {**_known(key_figures(f)), 'found': found(f)}
                           for f in flights})
    for flight in flights:
        print('\n'.join([f'{flight.name}:', *flight.closing_lines]))
    print(f'report: {out / "index.html"}')
    return 0


def _known(figures: dict[str, float]) -> dict[str, float | None]:
    """Return figures for JSON: None instead of NaN or infinity."""
    return {name: value if isfinite(value) else None for name, value in figures.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='report', description=__doc__)
    parser.add_argument('bags', metavar='bag', nargs='+', type=Path, help='folder of a bag, or '
                        'one of its .mcap files; several are compared')
    parser.add_argument('--out', metavar='DIR', help='folder of the report (default: '
                        'BAG_report, of the first bag)')
    parser.add_argument('--namespace', help='of the drone, if a bag has several')
    parser.add_argument('--json', metavar='FILE', help='also write the key figures as JSON')
    return parser
