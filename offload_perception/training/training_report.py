"""What training the bundled model achieved: accuracy on held-out images, and curves."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ConfigError
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.agreement import classify

if TYPE_CHECKING:
    import keras


def compare(model: 'keras.Model', artefact: Artefact, images: np.ndarray, labels: np.ndarray,
            runtime: str = 'litert') -> dict[str, float]:
    """Return the top-1 shares of the float32 network and its int8 artefact, and how they agree.

    `images` are uint8 (N, H, W, 3), `labels` class ids (N,).
    """
    exact = model.predict(images.astype(np.float32), batch_size=256, verbose=0).argmax(1)
    quantised = classify(artefact.model_file, artefact.pixels.spec,
                         artefact.tensors(artefact.last)[0], images, runtime)
    return {'images': len(labels), 'float32_top1': _share(exact == labels),
            'int8_top1': _share(quantised == labels), 'agreement': _share(exact == quantised)}


def confusion(found: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (classes, classes): true class down, found class across."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels, found), 1)
    return table


AERIAL_PANELS = {'loss': {'training': 'loss', 'validation': 'val_loss'},
                 'accuracy': {'training': 'accuracy', 'validation': 'val_accuracy'}}


def draw_curves(curves_file: Path, picture: Path, panels: dict[str, dict[str, str]]) -> None:
    """Draw the training history in `curves_file` (CSV) as a PNG.

    :param panels: for each title its curves: label and column.
    :raises ConfigError: if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as e:
        raise ConfigError(f'drawing curves needs matplotlib ({e}); pip install matplotlib') from e
    with open(curves_file, newline='') as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(8, 3), layout='constrained')
    for axes, (title, curves) in zip(figure.subplots(1, len(panels)), panels.items(),
                                     strict=True):
        for label, column in curves.items():
            axes.plot([int(row['epoch']) + 1 for row in rows],
                      [float(row[column]) for row in rows], marker='.', label=label)
        axes.set(xlabel='epoch', title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(picture, dpi=100)


def _share(right: np.ndarray) -> float:
    return round(float(right.mean()), 4)
