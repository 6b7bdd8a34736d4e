"""train_bottleneck: make a network that pays to be split, out of one that you have.

The first layers of the teacher are replaced by a small encoder, a bottleneck of few bytes and a
decoder, which learn the teacher's answers to your images; no labels are needed. Writes into the
folder: artefact/ (the prepared model: name it as model:=), history.csv, curves.png, report.json.
Start the same command again to go on with a training that was interrupted.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.cli.measure_codecs import measure_planned
from offload_perception.codec.calibration import calibrate
from offload_perception.codec.measure import Measurement
from offload_perception.console import command, positive, progress, table, write_json
from offload_perception.errors import ConfigError, ModelError
from offload_perception.evaluation.teacher import keras_classes
from offload_perception.network.artefact import Artefact, Teacher
from offload_perception.network.output_meaning import CLASSIFICATION
from offload_perception.planning.sizes import COSTS_FILE
from offload_perception.preparation.apart import building_apart
from offload_perception.preparation.prepare import BUNDLED, prepare
from offload_perception.preparation.representative import (
    picture_files,
    read_image,
    some_of,
)
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve

if TYPE_CHECKING:
    import keras

REPRESENTATIVE, CALIBRATING = 300, 4000  # images
FEWEST, HELD_OUT = 64, 0.2  # images; share of a folder without labels that is measured on
Images = tuple[np.ndarray, np.ndarray | None]  # uint8 (N, H, W, 3), class ids or None


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Design, train, prepare, measure."""
    args = _parser().parse_args(argv)
    began = time.monotonic()
    teacher = _teacher(args)
    from offload_perception.keras_backend import load_keras
    from offload_perception.training.bottleneck import PANELS, Recipe, Student, Training
    from offload_perception.training.bottleneck_design import design
    from offload_perception.training.training_report import draw_curves
    from offload_perception.training.training_threads import limit_threads

    limit_threads(args.threads)
    network = load_keras(teacher.verified_keras_file())
    height, width, _ = teacher.input.shape
    shape = design(network.layers, (height, width), args.bytes, args.macs)
    progress(f'the encoder replaces the first {shape.join} layers and takes {shape.macs} '
             f'multiply-adds, {shape.share:.1%} of {teacher.name}')
    images, unseen = _images(args, teacher)
    args.out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(epochs=args.epochs, steps=args.steps, nbytes=args.bytes, turned=args.turned,
                    seed=args.seed, batch=args.batch)
    _refuse_another(args.out, {'teacher': teacher.digest, 'images': len(images),
                               'recipe': asdict(recipe), 'design': asdict(shape)})
    student = Student(network, shape, args.seed)
    training = Training(student, images, recipe, args.out, progress)
    training.run()
    wanted = keras_classes(network, unseen[0])
    name = args.name or f'{teacher.name}_split'
    artefact = _prepared(student.folded(name), name, teacher, images, unseen[0], wanted, args.out)
    rows = _measured(artefact, images, unseen, wanted)
    report = {
        'model': name, 'teacher': teacher.name, 'trained': artefact.trained,
        'recipe': asdict(recipe), 'images': len(images), 'held_out': len(wanted),
        'teacher_top1': None if unseen[1] is None else float((wanted == unseen[1]).mean()),
        'agreement': artefact.teacher.agreement if artefact.teacher else None,
        'encoder': encoder_of(artefact, shape.teacher_macs), 'step_s': training.step_s,
        'wall_s': round(time.monotonic() - began), 'rows': [asdict(row) for row in rows]}
    write_json(args.out / 'report.json', report)
    write_json(args.json, report)
    print(summary(report))
    draw_curves(args.out / 'history.csv', args.out / 'curves.png', PANELS)
    return 0


def _refuse_another(out: Path, about: dict[str, Any]) -> None:
    """Note what is trained in a folder; refuse one that holds the state of another training."""
    file, text = out / 'training.json', json.dumps(about, indent=1) + '\n'
    if file.is_file() and file.read_text() != text:
        raise ConfigError(f'{out} holds a training with other options, images or teacher; give '
                          'the same again to go on with it, or another folder: --out')
    file.write_text(text)


def encoder_of(artefact: Artefact, teacher_macs: int) -> dict[str, float]:
    """Return multiply-adds and weights up to the bottleneck, and their share of the teacher."""
    head = artefact.layers[:artefact.bottleneck]
    macs = sum(layer.macs for layer in head)
    return {'macs': macs, 'share': macs / teacher_macs,
            'weight_bytes': sum(layer.weight_bytes for layer in head)}


def summary(report: dict[str, Any]) -> str:
    """Return the held-out table, and what it is of."""
    encoder, top1 = report['encoder'], report['teacher_top1']
    doubt = '' if report['trained'] else (
        "\nThe teacher's weights are random: the figures show that it works, nothing else.")
    return table(
        ('sent', 'bytes', '95 %', 'top-1 %', 'agreement %'),
        [(f'{r["cut"]} {r["codec"]}', f'{r["bytes"]:.1f}', f'{r["bytes_p95"]:.0f}',
          '' if r['accuracy'] is None else f'{100 * r["accuracy"]:.2f}',
          f'{100 * r["agreement"]:.2f}') for r in report['rows']]) + (
        f'\n\n{report["model"]}: encoder of {encoder["macs"]} multiply-adds, '
        f'{encoder["share"]:.1%} of {report["teacher"]}, {encoder["weight_bytes"]} bytes of '
        f'weights; {report["held_out"]} held-out images'
        + ('' if top1 is None else f', on which the teacher has {top1:.2%}') + '; agreement is '
        'with the teacher, int8 on this side, bytes with the header' + doubt)


def _teacher(args: argparse.Namespace) -> Artefact:
    """Return the teacher, prepared.

    :raises ModelError: if it is no classifier, or has no Keras network.
    """
    teacher = prepare(
        args.teacher, args.weights, labels=args.labels, preprocess=args.preprocess,
        cache_dir=args.cache_dir, progress=progress, build=building_apart(lambda: None))
    if not teacher.keras_file.is_file():
        raise ModelError(f'{teacher.path} has no Keras network to learn from (model.keras), as '
                         'models made of .tflite files; name a .keras or .h5 file')
    if teacher.meaning.kind != CLASSIFICATION:
        raise ModelError(f'{teacher.name} gives {teacher.meaning.kind}; only classifiers can be '
                         'teachers')
    return teacher


def _images(args: argparse.Namespace, teacher: Artefact) -> tuple[np.ndarray, Images]:
    """Return images to train with, and others with labels, or None, to measure on."""
    if args.images is None:
        from offload_perception.terrain.dataset import dataset
        from offload_perception.terrain.painters import CLASSES

        if teacher.labels != CLASSES:
            raise ConfigError(f'{teacher.name} does not know the generated terrain; name a folder '
                              'of images as its camera sees them: --images DIR')
        size = teacher.input.shape[0]
        drawn, _ = dataset('train', size, args.threads, progress)
        return drawn, dataset('test', size, args.threads, progress)
    files = some_of(picture_files(args.images, '**/*'), None, args.seed)
    if len(files) < FEWEST:
        raise ConfigError(f'{args.images} holds {len(files)} pictures; at least {FEWEST} are '
                          'needed, thousands are good')
    progress(f'reading {len(files)} pictures')
    images = np.stack([read_image(f, teacher.input.shape, teacher.fit) for f in files])
    count = max(int(HELD_OUT * len(files)), 1)
    names = [f.parent.name for f in files[:count]]
    known = set(names) <= set(teacher.labels)
    return images[count:], (images[:count], np.array([teacher.labels.index(n) for n in names])
                            if known else None)


def _prepared(model: 'keras.Model', name: str, teacher: Artefact, images: np.ndarray,
              unseen: np.ndarray, wanted: np.ndarray, out: Path) -> Artefact:
    """Return the trained network, prepared in `out`/artefact.

    `wanted` are the teacher's classes of the images `unseen`.
    """
    from offload_perception.preparation.agreement import classify
    from offload_perception.preparation.write_artefact import write_artefact

    artefact = write_artefact(
        model, out / 'artefact', name=name, trained=teacher.trained, labels=teacher.labels,
        weights=f'trained to agree with {teacher.name}', fit=teacher.fit, progress=progress,
        images=images[::max(len(images) // REPRESENTATIVE, 1)])
    found = classify(artefact.model_file, artefact.pixels.spec,
                     artefact.tensors(artefact.last)[0], unseen)
    bundled = teacher.path.parent == BUNDLED
    artefact = replace(artefact, teacher=Teacher(
        teacher.name if bundled else str(teacher.path), teacher.digest,
        float((found == wanted).mean())))
    artefact.save_manifest()
    return artefact


def _measured(artefact: Artefact, images: np.ndarray, unseen: Images,
              wanted: np.ndarray) -> list[Measurement]:
    """Calibrate the codecs, measure them at the image and the bottleneck, and store both."""
    network, cut = Chain(artefact, resolve('cpu'), merge=False), artefact.bottleneck
    assert cut is not None
    progress('learning the tables of the bottleneck')
    calibration = calibrate(network, images[::max(len(images) // CALIBRATING, 1)])
    calibration.save(artefact.path)
    rows = measure_planned(network, (0, cut), *unseen, calibration, wanted)
    write_json(artefact.path / COSTS_FILE, [asdict(row) for row in rows])
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('train_bottleneck', description=__doc__)
    parser.add_argument('--teacher', default='aerial', help='aerial, vgg16, a prepared folder, or '
                        'a .keras or .h5 file of a network like VGG (default: %(default)s)')
    parser.add_argument('--weights', default='bundled',
                        help='of a preset: bundled, imagenet, seed:N or a file')
    parser.add_argument('--labels', help='file with one label a line')
    parser.add_argument('--preprocess', help='for a .keras file without preprocessing layers')
    parser.add_argument('--cache-dir', help='folder of prepared models')
    parser.add_argument('--images', type=Path, metavar='DIR', help='pictures as the camera sees '
                        'them; in folders named as labels, these are used to measure '
                        '(default: generated terrain)')
    parser.add_argument('--bytes', type=float, default=110.0,
                        help='wished size of an encoded tensor of the finest quality, with its '
                        'header (default: %(default)s)')
    parser.add_argument('--macs', type=float, default=0.15, metavar='SHARE',
                        help="largest share of the teacher's multiply-adds for the encoder "
                        '(default: %(default)s)')
    parser.add_argument('--out', type=Path, required=True, help='folder for all results')
    parser.add_argument('--epochs', type=positive, default=40, help='default: %(default)s')
    parser.add_argument('--steps', type=positive,
                        help='batches in each epoch (default: all images once)')
    parser.add_argument('--turned', action=argparse.BooleanOptionalAction, default=True,
                        help='also show images turned by quarters, as seen from above; '
                        '--no-turned for a camera that looks ahead')
    parser.add_argument('--batch', type=positive, default=64, help='default: %(default)s')
    parser.add_argument('--name', help="of the new model (default: the teacher's, and _split)")
    parser.add_argument('--seed', type=int, default=0, help='of weights, shuffling and noise')
    parser.add_argument('--threads', type=positive, default=2, help='default: %(default)s')
    parser.add_argument('--json', metavar='FILE', help='write the report there too')
    return parser


if __name__ == '__main__':
    sys.exit(main())
