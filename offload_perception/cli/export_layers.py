"""export_layers: write every prefix of a network as Keras, float32, int8 and Edge TPU files."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from offload_perception.cli.edgetpu_table import edgetpu_table
from offload_perception.cli.prepare_model import add_model_arguments, prepared
from offload_perception.console import command, progress, table, write_json
from offload_perception.edgetpu import compile as edgetpu_compile
from offload_perception.evaluation.export import Exporter, check


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Export, check if asked to, and print what was written."""
    args = _parser().parse_args(argv)
    artefact = prepared(args)
    entries = Exporter(artefact, args.out, h5=args.h5).run(progress)
    if args.check:
        for number, entry in enumerate(entries, 1):
            entry['check_seconds'] = check(args.out, entry)
            progress(f'checked {number}/{len(entries)} {entry["file"]}')
    print(table(('file', 'output', 'bytes', 'seconds', 'check seconds'), [
        (e['file'], ' + '.join('x'.join(map(str, y['shape'])) for y in e['outputs']), e['bytes'],
         round(e['seconds'], 1), round(e.get('check_seconds', 0), 2)) for e in entries]))
    if artefact.quantised:
        report = edgetpu_compile.report(artefact)
        report.save(args.out)
        print(f'\n{edgetpu_table(report)}')
    write_json(args.json, entries)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('export_layers', description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER',
                        help='folder of the files; a second run continues an interrupted one')
    parser.add_argument('--h5', action='store_true', help='Keras files as .h5 instead of .keras')
    parser.add_argument('--check', action='store_true', help='load and run every file once')
    parser.add_argument('--json', metavar='FILE', help='write the table there too')
    return parser


if __name__ == '__main__':
    sys.exit(main())
