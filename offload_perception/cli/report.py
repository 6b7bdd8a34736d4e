"""Report recorded flights, of one drone or of a fleet: a page, pictures, a summary, tables."""

import argparse
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from offload_perception.console import command, progress, write_json
from offload_perception.report import fleet_tables
from offload_perception.report.analysis import found, key_figures
from offload_perception.report.recorded_flight import Flight, load_flights
from offload_perception.report.write_report import write_report


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Report one bag or several."""
    args = _parser().parse_args(argv)
    flights = list[Flight]()
    for bag in args.bags:
        progress(f'reading {bag}')
        flights += load_flights(bag, args.namespace)
    out = Path(args.out or f'{args.bags[0].resolve().with_suffix("")}_report')
    progress('drawing')
    write_report(flights, out)
    fleets = fleet_tables.fleets(flights)
    write_json(args.json, {
        **{f.name: {**_known(key_figures(f)), 'found': found(f)} for f in flights},
        **{fleet[0].bag.stem: _known(fleet_tables.totals(fleet)) for fleet in fleets}})
    for flight in flights:
        print('\n'.join([f'{flight.name}:', *flight.closing_lines]))
    for fleet in fleets:
        print(f'{fleet[0].bag.stem}, {fleet_tables.line(fleet)}')
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
    parser.add_argument('--namespace', help='of one drone of several in a bag (default: all)')
    parser.add_argument('--json', metavar='FILE', help='also write the key figures as JSON')
    return parser
