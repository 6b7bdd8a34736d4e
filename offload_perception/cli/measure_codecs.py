"""measure_codecs: measure size, time and agreement of every codec at the cuts that are planned."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from offload_perception.cli.evaluate_model import held_out
from offload_perception.cli.prepare_model import add_model_arguments, prepared
from offload_perception.codec.calibration import FILE as CALIBRATION_FILE
from offload_perception.codec.calibration import Calibration, calibrate, pooled
from offload_perception.codec.measure import Measurement, measure
from offload_perception.codec.sensitivity import metrics
from offload_perception.console import command, positive, progress, table, write_json
from offload_perception.errors import ConfigError, ModelError
from offload_perception.evaluation.evaluate import labelled_files
from offload_perception.evaluation.teacher import teacher_classes
from offload_perception.network.artefact import Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.sizes import (
    COSTS_FILE,
    LATENT_CODECS,
    TRANSFORM_CODECS,
    codecs_for,
    load_costs,
)
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve

FEWEST = 16


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate the lossy codecs, measure all of them, and store both beside the model."""
    args = _parser().parse_args(argv)
    found = len(labelled_files(args.data)) if args.data else None
    measured, calibrated = shares(args.images, args.calibrate, found)
    artefact = prepared(args)
    images, labels = held_out(args.data, artefact, measured + calibrated)
    seen, images = images[:calibrated], images[calibrated:]
    labels = None if labels is None else labels[calibrated:]
    network = Chain(artefact, resolve('cpu'), merge=False)
    calibration = _calibration(args, network, seen)
    wanted = None
    if artefact.teacher is not None:
        progress(f'agreement is that with the teacher, {artefact.teacher.model}')
        wanted = teacher_classes(artefact, images, args.teacher)
    cuts = range(artefact.last) if args.all_cuts else NetworkShape.of(artefact).candidates
    rows = measure_planned(network, cuts, images, labels, calibration, wanted, only=args.codecs)
    if args.codecs:
        rows = together(artefact, rows)
    records = [asdict(row) for row in rows]
    write_json(artefact.path / COSTS_FILE, records)
    write_json(args.json, {'model': artefact.name, 'digest': artefact.digest, 'rows': records})
    print(table(('cut', 'codec', 'bytes', 'bits per element', 'agreement %', 'encode ms'),
                [(r.cut, r.codec, round(r.bytes), f'{r.bits_per_element:.2f}',
                  f'{100 * r.agreement:.2f}', f'{r.encode_ms:.3f}') for r in rows]))
    return 0


def shares(images: int, calibrate: int, found: int | None) -> tuple[int, int]:
    """Return how many images to measure on, and how many others to calibrate with.

    Of fewer than were asked for, `found` in a folder, at least half are for the calibration.

    :raises ConfigError: if there are too few for both.
    """
    if found is None or found >= images + calibrate:
        return images, calibrate
    if found < FEWEST:
        raise ConfigError(f'{found} images are too few to calibrate with some and measure on '
                          f'others; at least {FEWEST} are needed, thousands are good')
    measured = min(images, found // 2)
    calibrated = min(calibrate, found - measured)
    progress(f'{found} images: {calibrated} to calibrate with, {measured} to measure on')
    return measured, calibrated


def gradients(artefact: Artefact,
              images: Sequence[np.ndarray] | np.ndarray) -> dict[int, np.ndarray]:
    """Return the metric of each cut that gets a transform; empty if none is available."""
    try:
        return metrics(artefact, images, pooled(artefact))
    except ModelError as e:
        progress(f'{e}; the transforms will not know what the class depends on')
        return {}


def _calibration(args: argparse.Namespace, network: Chain, images: np.ndarray) -> Calibration:
    """Return what the lossy codecs need: anew, or that beside the model for some codecs more."""
    artefact = network.artefact
    if args.codecs and (artefact.path / CALIBRATION_FILE).is_file():
        return Calibration.load(artefact)
    progress(f'calibrating with {len(images)} images')
    calibration = calibrate(network, images, gradients(artefact, images))
    calibration.save(artefact.path)
    return calibration


def measure_planned(network: Chain, cuts: Iterable[int], images: np.ndarray,
                    labels: np.ndarray | None, calibration: Calibration,
                    wanted: np.ndarray | None = None,
                    only: Sequence[str] = ()) -> list[Measurement]:
    """Return a row for each codec that the planner weighs at `cuts`, under the planner's name.

    :param wanted: the classes to agree with, by default the network's own.
    :param only: names of codecs or settings, by default all.
    :raises ConfigError: if none of them is weighed at any of the cuts.
    """
    names = {cut: tuple(name for name in planned_codecs(network.artefact, cut, calibration)
                        if not only or name in only or name.partition(':')[0] in only)
             for cut in cuts}
    if not any(names.values()):
        raise ConfigError(f'none of {", ".join(only)} is weighed at any cut of '
                          f'{network.artefact.name}')
    rows = measure(network, names, images, labels, calibration, reference=wanted,
                   progress=progress)
    return [replace(row, codec=name) for name, row in zip(
        (name for cut in names for name in names[cut]), rows, strict=True)]


def planned_codecs(artefact: Artefact, cut: int, calibration: Calibration) -> tuple[str, ...]:
    """Return the codecs that the planner weighs at `cut`."""
    names = codecs_for(artefact.tensors(cut))
    if artefact.cut_names[cut] in calibration.bases:
        names += TRANSFORM_CODECS
    if cut == artefact.bottleneck:
        names += LATENT_CODECS
    return names


def together(artefact: Artefact, rows: Sequence[Measurement]) -> list[Measurement]:
    """Return the rows that are stored beside the model with `rows` in the place of their like."""
    stored = load_costs(artefact.path) if (artefact.path / COSTS_FILE).is_file() else []
    merged = {(row.cut, row.codec): row for row in (*stored, *rows)}
    places = {name: place for place, name in enumerate(artefact.cut_names)}
    return sorted(merged.values(), key=lambda row: places.get(row.cut, -1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='measure_codecs', description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--data', type=Path, metavar='FOLDER', help='labelled images, CLASS/*.jpg '
                        '(default: generated test tiles)')
    parser.add_argument('--images', type=positive, default=400,
                        help='to measure on (default: 400)')
    parser.add_argument('--calibrate', type=positive, default=2000,
                        help='other images to calibrate with (default: 2000)')
    parser.add_argument('--teacher', type=Path, metavar='FOLDER', help='of a learned bottleneck, '
                        'if it is no longer where it was')
    parser.add_argument('--codecs', type=lambda text: tuple(text.split(',')), default=(),
                        metavar='A,B', help='measure only these, with the calibration that is '
                        'there, and keep the other rows')
    parser.add_argument('--all-cuts', action='store_true', help='measure at each cut, also those '
                        'that the planner leaves out for sending more after more work')
    parser.add_argument('--json', metavar='FILE')
    return parser


if __name__ == '__main__':
    raise SystemExit(main())
