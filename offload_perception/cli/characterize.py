"""characterize: time, energy and memory of every prefix of a network on this computer.

Writes a table, figures and the device profiles that the planner reads. The same command
continues an interrupted run. With --compare it puts two runs side by side.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from typing import Any

from offload_perception.characterize import host
from offload_perception.characterize.backends import (
    AVAILABLE,
    BACKENDS,
    Backend,
    choose,
    fitting,
)
from offload_perception.characterize.compare import ORIGINAL, Pair, load_run, pair
from offload_perception.characterize.measurement import Effort, Session
from offload_perception.characterize.metering import EMULATED, MONSOON, open_meter
from offload_perception.characterize.prefix_charts import draw_profiles
from offload_perception.characterize.radio import (
    MBIT,
    PORT,
    Schedule,
    datagrams,
    measure_radio,
)
from offload_perception.characterize.record import Journal, Row
from offload_perception.characterize.results import Report, device_kind
from offload_perception.characterize.to_profile import PUBLISHED_RADIO
from offload_perception.cli.prepare_model import add_model_arguments, prepared
from offload_perception.console import command, progress, table, write_json
from offload_perception.errors import ConfigError
from offload_perception.network.artefact import Artefact
from offload_perception.power.emulation.device_model import PRESETS, preset
from offload_perception.profiles.device_profile import RADIOS, Radio

MIB = 1 << 20
COMPARE_HEAD = ('layers', 'up to', 'a ms', 'b ms', 'b / a', 'a J', 'b J', 'b / a')


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, or compare."""
    args = _parser().parse_args(argv)
    if args.compare:
        a, b = args.compare
        _compare(a, b, args)
    else:
        _characterize(args)
    return 0


def _characterize(args: argparse.Namespace) -> None:
    effort = Effort(args.threads, args.seconds, args.runs, args.idle_seconds,
                    None if args.memory_limit is None else int(args.memory_limit * MIB))
    names = choose(args.backends)
    if args.meter == EMULATED:
        preset(args.emulate)
        if args.radio is not None:
            raise ConfigError('--radio needs a power meter (--meter): the emulated one shows no '
                              'radio')
    artefact = prepared(args)
    if args.backends == AVAILABLE:
        names = fitting(names, artefact, float_file=bool(args.float_model))
    folder = Path(args.out or f'characterize_{artefact.name}')
    settings = _settings(args, artefact)
    journal = Journal(folder, settings)
    float_file = Path(args.float_model or folder / 'float32.tflite')
    backends = [Backend(name, artefact, runtime=args.runtime, float_file=float_file)
                for name in names]
    total = sum(journal.find(name, layer.index) is None
                for name in names for layer in artefact.layers)
    radio = _radio(args)
    if total:
        _measure(args, artefact, journal, effort, backends, total)
    report = Report(artefact, journal, settings, _name(args), radio)
    files = report.write(folder, figures=not args.no_figures)
    print(f'{report.note()}\n\n{report.table()}\n\n{report.shares()}\n')
    print('\n'.join(map(str, files)))
    write_json(args.json, {'settings': settings, 'sessions': journal.sessions,
                           'rows': [row.to_dict() for row in journal.rows]})


def _measure(args: argparse.Namespace, artefact: Artefact, journal: Journal, effort: Effort,
             backends: list[Backend], total: int) -> None:
    progress(f'{total} prefixes to measure, {effort.seconds:g} s each at least; idle power first')
    with open_meter(args.meter, args.emulate) as meter, _bar(total) as show_row:
        Session(artefact, journal, meter, effort, show_row).run(
            backends, datetime.now(UTC).isoformat(timespec='seconds'))


def _settings(args: argparse.Namespace, artefact: Artefact) -> dict[str, Any]:
    """Return the conditions of a measurement: rows with other conditions are not mixed in."""
    return {
        'model': artefact.name, 'digest': artefact.digest, 'weights': artefact.weights,
        'trained': artefact.trained, 'threads': args.threads, 'runtime': args.runtime,
        'seconds': args.seconds, 'runs': args.runs, 'meter': args.meter,
        'emulate': args.emulate if args.meter == EMULATED else None,
        'memory_limit_mib': args.memory_limit, 'device': device_kind(host.describe())}


def _name(args: argparse.Namespace) -> str:
    return args.name or device_kind(host.describe()).replace(' ', '_')


def _radio(args: argparse.Namespace) -> Radio:
    if args.radio_preset:
        return RADIOS[args.radio_preset]
    if args.radio_w is not None:
        return Radio(args.radio_w, source='as given')
    return PUBLISHED_RADIO if args.radio is None else _measured_radio(args)


def _measured_radio(args: argparse.Namespace) -> Radio:
    schedule = Schedule(tuple(rate * MBIT for rate in args.radio_rates))
    with datagrams(args.radio) as send, open_meter(args.meter, args.emulate) as meter:
        progress(f'the radio is measured for {schedule.seconds:.0f} s')
        fit = measure_radio(send, meter.log.between, schedule)
    source = (f'measured {datetime.now(UTC).isoformat(timespec="seconds")} with '
              f'{meter.description}, datagrams to {args.radio}: {fit.describe()}')
    print(f'radio {source}\n')
    return replace(fit.radio, source=source)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Row], None]]:
    """Yield a function that shows a finished prefix: a bar on a terminal with tqdm, else lines."""
    try:
        if not sys.stderr.isatty():
            raise ImportError
        from tqdm import tqdm
    except ImportError:
        yield lambda row: progress(_line(row))
        return
    with tqdm(total=total, unit='prefix') as bar:
        def show_row(row: Row) -> None:
            bar.set_postfix_str(_line(row))
            bar.update()
        yield show_row


def _line(row: Row) -> str:
    figures = (f'{row.mean_s * 1e3:.1f} ms, {row.active_j:.3f} J above idle' if row.fits
               else f'does not fit: {row.note}')
    return f'{row.backend} up to {row.name}: {figures}'


def _compare(a: str, b: str, args: argparse.Namespace) -> None:
    pairs = pair(load_run(a), load_run(b))
    for both in pairs:
        print(f'a = {both.a.name}: {both.a.device}, {both.a.runtime}, {both.a.origin}\n'
              f'b = {both.b.name}: {both.b.device}, {both.b.runtime}, {both.b.origin}')
        print('\n'.join(f'note: {warning}' for warning in both.warnings()) + '\n')
        print(compare_table(both) + '\n')
    if not args.no_figures:
        folder = Path(args.out or '.')
        profiles = list({p.name: p for both in pairs for p in (both.a, both.b)}.values())
        note = '; '.join(f'{p.name}: emulated power' for p in profiles if p.emulated)
        print('\n'.join(map(str, draw_profiles(folder, profiles, note))))
    write_json(args.json, [{'a': both.a.name, 'b': both.b.name, 'notes': both.warnings(), 'rows': [
        [None if isinstance(x, float) and isnan(x) else x for x in row] for row in both.rows()]}
        for both in pairs])


def compare_table(both: Pair) -> str:
    """Return two profiles side by side as a Markdown table."""
    return table(COMPARE_HEAD, [
        (index, name, _digits(a_s * 1e3), _digits(b_s * 1e3), _digits(s, ''), _digits(a_j),
         _digits(b_j), _digits(j, '')) for index, name, a_s, b_s, s, a_j, b_j, j in both.rows()])


def _digits(value: float, unknown: str = 'does not fit') -> str:
    return unknown if isnan(value) else f'{value:.3g}' if value < 100 else f'{value:.0f}'


def _megabytes(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise ConfigError(f'a memory limit of {text} MB: give more than 0')
    return value


def _rates(text: str) -> tuple[float, ...]:
    return tuple(float(rate) for rate in text.split(','))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('characterize', description=__doc__)
    add_model_arguments(parser)
    add = parser.add_argument
    add('--backends', default='available', metavar='LIST',
        help=f'available, or some of {",".join(BACKENDS)} (default: %(default)s)')
    add('--out', metavar='FOLDER', help='where results go (default: characterize_<model>)')
    add('--name', help='of the profiles (default: the kind of this computer)')
    add('--threads', type=int, default=2)
    add('--seconds', type=float, default=10.0, help='of timed runs per prefix, at least')
    add('--runs', type=int, default=10, help='timed runs per prefix, at least')
    add('--idle-seconds', type=float, default=20.0, help='to measure the idle power for')
    add('--meter', default=EMULATED, metavar='METER',
        help=f'port of a UM25C, UM24C or UM34C, {MONSOON}, a source as of power_node, such as '
        f'hwmon:ina219, or {EMULATED} (default)')
    add('--emulate', default='raspberry_pi_3b_plus', metavar='DEVICE',
        help=f'whose power the emulated meter shows: {", ".join(PRESETS)}')
    add('--runtime', default='auto', help='of the CPU backends: auto, litert, openvino, ...')
    add('--memory-limit', type=_megabytes, metavar='MB',
        help='get by with so much memory (default: what is available)')
    add('--float-model', metavar='FILE', help='the whole network as a float32 .tflite file')
    radio = parser.add_mutually_exclusive_group()
    radio.add_argument('--radio', metavar='HOST[:PORT]', help='measure what sending costs, with '
                       f'datagrams to this host (port {PORT} unless given)')
    radio.add_argument('--radio-preset', choices=RADIOS, help='take published figures')
    radio.add_argument('--radio-w', type=float, metavar='W', help='take this power while sending')
    add('--radio-rates', type=_rates, default='1,4,8', metavar='MBIT,...',
        help='that --radio sends at [Mbit/s] (default: %(default)s)')
    add('--no-figures', action='store_true')
    add('--json', metavar='FILE', help='write the figures there too')
    add('--compare', nargs=2, metavar=('A', 'B'),
        help=f"two runs' folders, profile files, or '{ORIGINAL}' for the published figures")
    return parser


if __name__ == '__main__':
    sys.exit(main())
