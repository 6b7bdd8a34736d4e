"""prepare_model: make a network ready to be split, and show its cuts."""

import argparse
import sys
from collections.abc import Sequence

from offload_perception.cli.edgetpu_table import edgetpu_table
from offload_perception.console import command, progress, table, write_json
from offload_perception.edgetpu import compile as edgetpu_compile
from offload_perception.fitting import FITS
from offload_perception.network.artefact import Artefact
from offload_perception.network.dense import check_dense
from offload_perception.network.flatbuffer import Graph
from offload_perception.preparation.narrow import WEIGHT_BITS
from offload_perception.preparation.prepare import prepare
from offload_perception.preparation.user_model import PREPROCESSING


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a network, as `prepare` takes them."""
    parser.add_argument('--model', default='aerial',
                        help='aerial, vgg16, vgg16_112, a prepared folder, a .keras or .h5 file')
    parser.add_argument('--weights', default='bundled',
                        help='bundled, imagenet, seed:N or a weights file (default: %(default)s)')
    parser.add_argument('--labels', help='file with one label a line')
    parser.add_argument('--representative', metavar='FOLDER',
                        help='images that fix the quantisation (default: generated ones)')
    parser.add_argument('--preprocess', choices=PREPROCESSING,
                        help='for a model file that has no preprocessing layers of its own')
    parser.add_argument('--weight-bits', type=int, choices=WEIGHT_BITS, default=8,
                        help='7 is as fast and right on x86 processors without VNNI')
    parser.add_argument('--fit', choices=FITS, help='how pictures are fitted to the shape of the '
                        'input (default: as the model says; a new one: crop)')
    parser.add_argument('--cache-dir', help='folder of prepared models')


def prepared(args: argparse.Namespace) -> Artefact:
    """Return the prepared model that the options name."""
    return prepare(args.model, args.weights, labels=args.labels, preprocess=args.preprocess,
                   representative=args.representative, weight_bits=args.weight_bits,
                   fit=args.fit, cache_dir=args.cache_dir, progress=progress)


def cut_table(artefact: Artefact) -> str:
    """Return the cuts as a table: cut 0 is the image."""
    rows = [(0, 'input', _shape(artefact.input.shape), artefact.input.nbytes, 0, 0)]
    rows += [(layer.index, layer.name, _shape(layer.output.shape), layer.output.nbytes,
              layer.weight_bytes, layer.macs) for layer in artefact.layers]
    return table(('cut', 'layer', 'shape', 'bytes', 'weight bytes', 'multiply-adds'), rows)


def _shape(shape: tuple[int, ...]) -> str:
    return 'x'.join(map(str, shape))


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a model; print its folder and its cuts."""
    parser = argparse.ArgumentParser('prepare_model', description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--json', metavar='FILE', help='write the cuts there too')
    parser.add_argument('--edgetpu', action='store_true', help='compile for the Edge TPU, or '
                        'estimate if there is no compiler; the report is kept beside the model')
    args = parser.parse_args(argv)
    artefact = prepared(args)
    print(f'{artefact.path}\n{artefact.name}, weights {artefact.weights}'
          f'{"" if artefact.trained else " (random: labels mean nothing)"}')
    if artefact.agreement is not None:
        print(f'int8 agrees with float32 on {artefact.agreement:.1%} of the representative images')
    print(artefact.doubt)
    print(cut_table(artefact))
    check_dense(Graph(artefact.model_file.read_bytes(), str(artefact.model_file)))
    if args.edgetpu:
        found = edgetpu_compile.report(artefact)
        found.save(artefact.path)
        print(f'\n{edgetpu_table(found)}')
    write_json(args.json, {'path': str(artefact.path), 'weights': artefact.weights,
                           'trained': artefact.trained,
                           'layers': [{**vars(layer), 'output': layer.output.to_dict()}
                                      for layer in artefact.layers]})
    return 0


if __name__ == '__main__':
    sys.exit(main())
