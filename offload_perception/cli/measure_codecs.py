"""measure_codecs: what every codec costs at every cut of a model, stored for the planner."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from offload_perception.cli.command import command, progress, table, write_json
from offload_perception.cli.evaluate_model import held_out
from offload_perception.cli.prepare_model import add_model_arguments, prepared
from offload_perception.codec.calibration import Calibration, calibrate, pooled
from offload_perception.codec.measure import Measurement, measure
from offload_perception.codec.sensitivity import metrics
from offload_perception.errors import ModelError
from offload_perception.model.artefact import Artefact
from offload_perception.planning.sizes import COSTS_FILE, TRANSFORM_CODECS, codecs_for
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate the lossy codecs, measure all of them, and store both beside the model."""
    args = _parser().parse_args(argv)
    artefact = prepared(args)
    images, labels = held_out(args.data, artefact, args.images + args.calibrate)
    network = Chain(artefact, resolve('cpu'), merge=False)
    progress(f'calibrating with {args.calibrate} images')
    seen = images[:args.calibrate]
    calibration = calibrate(network, seen, gradients(artefact, seen))
    images, labels = images[args.calibrate:], labels[args.calibrate:]
    rows = []
    for cut in range(artefact.last):
        progress(f'{artefact.cut_names[cut]}: {len(images)} images')
        rows += measure_cut(network, cut, images, labels, calibration)
    calibration.save(artefact.path)
    records = [asdict(row) for row in rows]
    write_json(artefact.path / COSTS_FILE, records)
    write_json(args.json, {'model': artefact.name, 'digest': artefact.digest, 'rows': records})
    print(table(('cut', 'codec', 'bytes', 'bits per element', 'agreement %', 'encode ms'),
                [(r.cut, r.codec, round(r.bytes), f'{r.bits_per_element:.2f}',
                  f'{100 * r.agreement:.2f}', f'{r.encode_ms:.3f}') for r in rows]))
    return 0


def gradients(artefact: Artefact, images: np.ndarray) -> dict[int, np.ndarray]:
    """Return the metric of each cut that gets a transform; empty where none can be had."""
    try:
        return metrics(artefact, images, pooled(artefact))
    except ModelError as e:
        progress(f'{e}; the transforms will not know what the class depends on')
        return {}


def measure_cut(network: Chain, cut: int, images: np.ndarray, labels: np.ndarray,
                calibration: Calibration) -> list[Measurement]:
    """Return a row for each codec that the planner weighs at `cut`, under the planner's name."""
    names = codecs_for(network.artefact.tensor(cut))
    if network.artefact.cut_names[cut] in calibration.bases:
        names += TRANSFORM_CODECS
    rows = measure(network, [cut], names, images, labels, calibration)
    return [replace(row, codec=name) for name, row in zip(names, rows, strict=True)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='measure_codecs', description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--data', type=Path, metavar='FOLDER', help='labelled images, CLASS/*.jpg '
                        '(default: generated test tiles)')
    parser.add_argument('--images', type=int, default=400, help='to measure on (default: 400)')
    parser.add_argument('--calibrate', type=int, default=2000,
                        help='images to calibrate with, before those (default: 2000)')
    parser.add_argument('--json', metavar='FILE')
    return parser


if __name__ == '__main__':
    raise SystemExit(main())
