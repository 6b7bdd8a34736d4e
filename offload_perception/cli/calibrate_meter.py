"""Command `calibrate_meter`: hold a power meter against known loads, and write its calibration."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

from offload_perception.console import command, progress, table, write_json
from offload_perception.errors import ConfigError
from offload_perception.power.drivers.meter_calibration import (
    MAX_LOADS,
    QUANTITIES,
    Calibration,
    Load,
    fit,
    measure,
    to_json,
    true_values,
)
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.power_sources import KINDS, open_power_source

_EPILOG = f"""Example: calibrate_meter hwmon:ina219 --load 5.1V,0A --load 5.1V,0.5A
--load 5.1V,1.5A -o ina219.json; then give the file to the meter's node as parameter calibration.
The loads are measured in this order; the command waits for Enter before each. A source is one of
{', '.join(k.form for k in KINDS if k.open)}."""


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure the loads, fit, and write the file."""
    options = _parser().parse_args(argv)
    if not (isfinite(options.seconds) and 1.0 <= options.seconds <= 3600.0):
        raise ConfigError(f'--seconds {options.seconds}: give 1 to 3600')
    stated = [(text, true_values(text)) for text in options.load]
    if not 2 <= len(stated) <= MAX_LOADS:
        raise ConfigError(f'--load was given {len(stated)} times; give it for 2 to {MAX_LOADS} '
                          'loads')
    if not os.access(options.output.parent, os.W_OK) or options.output.is_dir():
        raise ConfigError(f'{options.output} cannot be written: name a file in a folder of yours')
    meter = open_power_source(options.source, options.sysfs)
    try:
        loads = [_measured(meter, text, true, options.seconds) for text, true in stated]
    finally:
        meter.close()
    found = fit(meter.description, datetime.now(UTC).date().isoformat(), loads)
    print(_report(found))
    write_json(options.output, to_json(found))
    print(f'written: {options.output}')
    return 0


def _measured(meter: PowerMeter, text: str, true: dict[str, float], seconds: float,
              wait: Callable[[str], str] = input) -> Load:
    try:
        wait(f'Set the load to {text}, wait until it is steady, then press Enter: ')
    except EOFError as e:
        raise ConfigError('there is no terminal to press Enter at') from e
    progress(f'measuring {text} for {seconds:g} s')
    return measure(meter, true, seconds)


def _report(c: Calibration) -> str:
    lines = [[q, f'{x.gain:.5f}', f'{x.offset:+.5f} {QUANTITIES[q]}',
              f'{x.residual:.5f} {QUANTITIES[q]}'] for q, x in c.lines.items()]
    rows = [[f'{x.true["power"]:.4f}', f'{x.read["power"]:.4f}',
             f'{c.lines["power"].at(x.read["power"]):.4f}', x.samples] for x in c.loads]
    return '\n\n'.join((
        c.meter, table(('true [W]', 'read [W]', 'calibrated [W]', 'samples'), rows),
        table(('', 'gain', 'offset', 'residual'), lines)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=_EPILOG)
    add = parser.add_argument
    add('source', help='the meter, as for power_node')
    add('--load', action='append', default=[], metavar='TRUE', help='true values of a load, as '
        '5.1V,0.5A or 2.55W; give two or more that span what will be measured')
    add('--seconds', type=float, default=10.0, metavar='S', help='per load (default: 10)')
    add('-o', '--output', type=Path, required=True, metavar='FILE', help='file to write')
    add('--sysfs', type=Path, default=Path('/sys'), help="folder of the kernel's files")
    return parser


if __name__ == '__main__':
    sys.exit(main())
