"""export_layers: write every prefix of a network as Keras, float32, int8 and Edge TPU files."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from offload_perception.cli.command import command, progress, table, write_json
from offload_perception.cli.prepare_model import add_model_arguments, prepared
from offload_perception.model import edgetpu
from offload_perception.model.edgetpu import CompileReport
from offload_perception.model.export import Exporter, check


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Export, check where asked to, and print what was written."""
    args = _parser().parse_args(argv)
    artefact = prepared(args)
    entries = Exporter(artefact, args.out, h5=args.h5).run(progress)
    if args.check:
        for number, entry in enumerate(entries, 1):
            entry['check_seconds'] = check(args.out, entry)
            progress(f'checked {number}/{len(entries)} {entry["file"]}')
    print(table(('file', 'output', 'bytes', 'seconds', 'check seconds'), [
        (e['file'], 'x'.join(map(str, e['output']['shape'])), e['bytes'],
         round(e['seconds'], 1), round(e.get('check_seconds', 0), 2)) for e in entries]))
    report = edgetpu.report(artefact)
    report.save(args.out)
    print(f'\n{edgetpu_table(report)}')
    write_json(args.json, entries)
    return 0


def edgetpu_table(report: CompileReport) -> str:
    """Return the Edge TPU report as text and a table."""
    source = 'ESTIMATE, no compiler was run' if report.estimate else f'compiler {report.compiler}'
    rows = [(i, r.name, _known(r.mapped), _known(r.unmapped), _known(r.on_chip_bytes),
             _known(r.off_chip_bytes), report.streamed_bytes(i), r.activation_bytes)
            for i, r in enumerate(report.layers, 1)]
    head = ('cut', 'layer', 'mapped', 'on CPU', 'on-chip bytes', 'off-chip bytes',
            'streamed up to here', 'activation bytes')
    problems = [f'{r.name}: {p}' for r in report.layers for p in r.problems]
    return '\n'.join([f'Edge TPU ({source}); parameters fit up to cut {report.last_cached_cut}',
                      '', table(head, rows), *problems])


def _known(value: int | None) -> int | str:
    return '?' if value is None else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('export_layers', description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER',
                        help='where the files go; a second run goes on where the first stopped')
    parser.add_argument('--h5', action='store_true', help='Keras files as .h5 instead of .keras')
    parser.add_argument('--check', action='store_true', help='load and run every file once')
    parser.add_argument('--json', metavar='FILE', help='write the table there too')
    return parser


if __name__ == '__main__':
    sys.exit(main())
