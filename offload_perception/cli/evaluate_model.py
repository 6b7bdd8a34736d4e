"""evaluate_model: accuracy of the float network, its conversions and every cut."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from offload_perception.cli.prepare_model import add_model_arguments, prepared
from offload_perception.console import command, positive, progress, table, write_json
from offload_perception.errors import ConfigError
from offload_perception.evaluation.evaluate import Evaluation, Row, labelled_files, read_folder
from offload_perception.imaging.resize import fit
from offload_perception.network.artefact import Artefact
from offload_perception.network.output_meaning import CLASSIFICATION

TILES = 800


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; exit with 1 if a cut changed a score."""
    args = _parser().parse_args(argv)
    if args.data:
        labelled_files(args.data)  # report a wrong folder before the work
    artefact = prepared(args)
    images, labels = held_out(args.data, artefact, args.count, args.seed)
    cuts = [artefact.cut(c) for c in args.tail_cuts] or range(1, artefact.last)
    evaluation = Evaluation(artefact, images, labels)
    if not artefact.keras_file.exists():
        progress(f'{artefact.name} has no float32 network: its cuts are compared with the whole')
    rows = list(evaluation.rows(cuts, progress))
    text = f'{_heading(artefact, args.data, len(images))}\n\n{accuracy_table(rows)}\n'
    print(text)
    if args.markdown:
        Path(args.markdown).write_text(text)
    write_json(args.json, {'model': artefact.name, 'digest': artefact.digest,
                           'weights': artefact.weights, 'trained': artefact.trained,
                           'data': str(args.data or 'generated test tiles'),
                           'rows': [asdict(row) for row in rows]})
    return 1 if any(row.mismatches for row in rows) else 0


def accuracy_table(rows: list[Row]) -> str:
    """Return the rows as a table in percent."""
    return table(
        ('network', 'images', 'top-1 %', 'top-5 %', 'agrees with float32 %', 'differing outputs'),
        [(r.name, r.images, *map(_percent, (r.top1, r.top5, r.agreement)),
          '' if r.mismatches is None else str(r.mismatches)) for r in rows])


def _heading(artefact: Artefact, data: Path | None, count: int) -> str:
    source = f'images of {data}' if data else 'generated test tiles, not seen in training'
    warning = '' if artefact.trained else ' The weights are random: accuracies mean nothing.'
    return (f'{artefact.name}, weights {artefact.weights}, {count} {source}. '
            f'Every cut must have 0 differing outputs.{warning}')


def _percent(share: float | None) -> str:
    return '' if share is None else f'{100 * share:.2f}'


def held_out(folder: Path | None, artefact: Artefact, count: int | None,
             seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
    """Return images uint8 (N, H, W, 3) and labels: of a folder, else of generated tiles.

    Labels are None if the model does not know the classes of the tiles.

    Images of a folder are at most `count` (None: all, or `TILES` tiles), taken at random by
    `seed`.
    """
    if folder:
        return read_folder(folder, artefact, count, seed)
    from offload_perception.terrain.painters import CLASSES
    from offload_perception.terrain.tiles import tiles

    if artefact.keras_file.exists() and artefact.labels and artefact.labels != CLASSES:
        raise ConfigError(f'{artefact.name} does not know the generated classes; '
                          'name a folder of labelled images: --data FOLDER')
    count = TILES if count is None else count
    progress(f'generating {count} tiles')
    height, width, _ = artefact.input.shape
    images, labels = tiles('test', count, seed=seed, size=max(height, width))
    if height != width:
        images = np.stack([fit(image, height, width, how=artefact.fit) for image in images])
    knows = artefact.meaning.kind == CLASSIFICATION and artefact.classes == len(CLASSES)
    return images, labels if knows else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('evaluate_model', description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--data', type=Path, metavar='FOLDER',
                        help='labelled images, FOLDER/<label>/*.jpg (default: generated tiles)')
    parser.add_argument('--count', type=positive, help='images, taken at random (default: all of '
                        f'a folder, {TILES} generated tiles)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice and of the tiles')
    parser.add_argument('--tail-cuts', nargs='*', default=[], metavar='CUT',
                        help='cuts with a float32 tail after them (default: all)')
    parser.add_argument('--markdown', metavar='FILE', help='write the table there too')
    parser.add_argument('--json', metavar='FILE', help='write the figures there too')
    return parser


if __name__ == '__main__':
    sys.exit(main())
