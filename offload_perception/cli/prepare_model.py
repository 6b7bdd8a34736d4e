"""prepare_model: make a network ready to be split, and show its cuts."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from offload_perception.cli.edgetpu_table import edgetpu_table
from offload_perception.console import command, progress, table, write_json
from offload_perception.edgetpu import compile as edgetpu_compile
from offload_perception.fitting import FITS
from offload_perception.network.artefact import Artefact
from offload_perception.network.dense import dense_doubt
from offload_perception.network.operator_graph import Graph
from offload_perception.network.output_meaning import KINDS
from offload_perception.network.pixels import PREPROCESSING
from offload_perception.preparation.apart import building_apart
from offload_perception.preparation.narrow import WEIGHT_BITS
from offload_perception.preparation.prepare import copied, is_bundled, prepare
from offload_perception.tensor import TensorSpec, total_bytes


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a network, as `prepare` takes them."""
    parser.add_argument('--model', default='aerial',
                        help='aerial, aerial_split (with a learned bottleneck), vgg16, '
                        'vgg16_112, a prepared folder, a .tflite, .keras or .h5 file')
    parser.add_argument('--weights', default='bundled',
                        help='bundled, imagenet, seed:N or a weights file (default: %(default)s)')
    parser.add_argument('--labels', help='file with one label a line')
    parser.add_argument('--representative', metavar='FOLDER',
                        help='images that fix the quantisation (default: generated ones)')
    parser.add_argument('--preprocess', choices=PREPROCESSING,
                        help='for a model file that has no preprocessing layers of its own')
    parser.add_argument('--task', choices=KINDS, help='what the outputs of a .tflite file mean '
                        '(default: found from their shapes and names)')
    parser.add_argument('--weight-bits', type=int, choices=WEIGHT_BITS, default=8,
                        help='7 is as fast and right on x86 processors without VNNI')
    parser.add_argument('--fit', choices=FITS, help='how pictures are fitted to the shape of the '
                        'input (default: as the model says; a new one: crop)')
    parser.add_argument('--cache-dir', help='folder of prepared models')


def prepared(args: argparse.Namespace) -> Artefact:
    """Return the prepared model that the options name; a build that crashes ends itself alone."""
    return prepare(args.model, args.weights, labels=args.labels, preprocess=args.preprocess,
                   representative=args.representative, weight_bits=args.weight_bits,
                   task=args.task or '', fit=args.fit, cache_dir=args.cache_dir, progress=progress,
                   build=building_apart(lambda: None))


CUT_HEAD = ('cut', 'layer', 'kind', 'tensors', 'bytes', 'weight bytes', 'multiply-adds',
            '% before')


def cut_table(artefact: Artefact) -> str:
    """Return the cuts as a table: cut 0 is the image, `% before` the share of the work on board.

    Where several tensors cross, `bytes` is their sum.
    """
    return table(CUT_HEAD, [
        (cut['cut'], cut['name'], cut['kind'], ' + '.join(map(_tensor, artefact.tensors(k))),
         cut['bytes'], cut['weight_bytes'], cut['macs'], f'{100 * cut["share"]:.1f}')
        for k, cut in enumerate(cut_records(artefact))])


def cut_records(artefact: Artefact) -> list[dict[str, Any]]:
    """Return the cuts, JSON-ready; `share` is that of the multiply-adds before the cut, 0..1."""
    total, before = sum(layer.macs for layer in artefact.layers), 0
    records: list[dict[str, Any]] = [{
        'cut': 0, 'name': 'input', 'kind': 'image', 'weight_bytes': 0, 'macs': 0}]
    records += [{'cut': layer.index, 'name': layer.name, 'kind': layer.kind,
                 'weight_bytes': layer.weight_bytes, 'macs': layer.macs}
                for layer in artefact.layers]
    for record, specs in zip(records, map(artefact.tensors, range(len(records))), strict=True):
        before += record['macs']
        record |= {'tensors': [spec.to_dict() for spec in specs], 'bytes': total_bytes(specs),
                   'share': before / total if total else 0.0}
    return records


def describe(artefact: Artefact) -> str:
    """Return in words what the model is: its source, its pixels and what its outputs mean."""
    lines = [f'{artefact.name}, weights {artefact.weights}'
             f'{"" if artefact.trained else " (random: labels mean nothing)"}',
             f'input {_tensor(artefact.pixels.spec)}: '
             f'{artefact.pixels.rule.describe(artefact.pixels.spec)}',
             f'output {", ".join(_tensor(artefact.spec(i)) for i in artefact.outputs)}: '
             f'{artefact.meaning.kind}, {_labels(artefact)}']
    if artefact.agreement is not None:
        lines.append(f'int8 agrees with float32 on {artefact.agreement:.1%} of the '
                     'representative images')
    graph = Graph(artefact.model_file.read_bytes(), str(artefact.model_file))
    return '\n'.join(line for line in (*lines, artefact.doubt, dense_doubt(graph)) if line)


def _labels(artefact: Artefact) -> str:
    known = f'{len(artefact.labels)} labels' if artefact.labels else 'no labels (--labels FILE)'
    return known if artefact.classes is None else f'{artefact.classes} classes, {known}'


def _tensor(spec: TensorSpec) -> str:
    return f'{spec.dtype} {"x".join(map(str, spec.shape)) or "1"}'


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a model; print its folder and, if wished, its cuts."""
    parser = argparse.ArgumentParser('prepare_model', description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--show', action='store_true', help='print the table of its cuts')
    parser.add_argument('--json', metavar='FILE', help='write the cuts there too')
    parser.add_argument('--edgetpu', action='store_true', help='compile for the Edge TPU, or '
                        'estimate if there is no compiler; the report is kept beside the model')
    parser.add_argument('-o', '--output', metavar='FOLDER', help='copy the prepared model there '
                        'first, to take it to another computer (default with --edgetpu and a '
                        'bundled model: its name)')
    args = parser.parse_args(argv)
    artefact = prepared(args)
    if folder := args.output or (args.edgetpu and is_bundled(artefact) and artefact.name):
        artefact = copied(artefact, folder)
    print(f'{artefact.path}\n{describe(artefact)}')
    if args.show:
        print(f'\n{cut_table(artefact)}')
    if args.edgetpu:
        found = edgetpu_compile.report(artefact)
        found.save(artefact.path)
        print(f'\n{edgetpu_table(found)}')
    write_json(args.json, {'path': str(artefact.path), 'weights': artefact.weights,
                           'trained': artefact.trained, 'task': artefact.meaning.kind,
                           'cuts': cut_records(artefact)})
    return 0


if __name__ == '__main__':
    sys.exit(main())
