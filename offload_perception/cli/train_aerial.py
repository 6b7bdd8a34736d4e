"""train_aerial: train the bundled model again on generated terrain and prepare it.

Writes into the folder: artefact/ (the prepared model, float32 network included), history.csv,
curves.png and report.json (accuracy on held-out images). With --trained it only quantises, cuts
and measures a network that it trained before.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.console import command, progress, write_json
from offload_perception.terrain.dataset import dataset
from offload_perception.terrain.painters import CLASSES

if TYPE_CHECKING:
    import keras

REPRESENTATIVE = 300


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the data, train, prepare, measure."""
    args = _arguments(argv)
    from offload_perception.keras_backend import load_keras
    from offload_perception.training.aerial import Recipe, train  # needs TensorFlow
    from offload_perception.training.training_report import AERIAL_PANELS, draw_curves

    recipe = replace(Recipe(), steps=args.steps, seed=args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    drawn = partial(dataset, workers=args.threads, progress=progress)
    train_set, test_set = drawn('train'), drawn('test')
    if args.trained:
        model = load_keras(args.trained)
    else:
        progress(f'training on {len(train_set[0])} images')
        model = train(train_set, drawn('val'), recipe, args.out / 'history.csv', args.threads)
        draw_curves(args.out / 'history.csv', args.out / 'curves.png', AERIAL_PANELS)
    report = {'recipe': asdict(recipe), **finish(model, train_set[0], test_set, args.out),
              'wall_s': round(time.monotonic() - began)}
    write_json(args.out / 'report.json', report)
    write_json(args.json, report)
    print(json.dumps(report, indent=1))
    return 0


def finish(model: 'keras.Model', images: np.ndarray, test_set: tuple[np.ndarray, np.ndarray],
           out: Path) -> dict[str, Any]:
    """Prepare the trained model in `out`/artefact and return its accuracy on `test_set`.

    :param images: uint8 (N, H, W, 3), of the training; `test_set` also has class ids (N,).
    """
    from offload_perception.preparation.write_artefact import write_artefact
    from offload_perception.training.training_report import compare

    artefact = write_artefact(
        model, out / 'artefact', name='aerial', trained=True, labels=CLASSES, progress=progress,
        weights='trained on generated terrain', images=images[::len(images) // REPRESENTATIVE])
    progress('measuring')
    return compare(model, artefact, *test_set)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser('train_aerial', description=__doc__)
    parser.add_argument('--out', type=Path, required=True, help='folder for all results')
    parser.add_argument('--trained', type=Path, metavar='FILE',
                        help='model.keras of an earlier run: quantise it again, do not train')
    parser.add_argument('--steps', type=int, default=300,
                        help='batches in each epoch (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of weights and shuffling')
    parser.add_argument('--threads', type=int, default=2, help='default: %(default)s')
    parser.add_argument('--json', metavar='FILE', help='write the report there too')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
