"""A learned bottleneck beside image codecs, plain cuts and all on board: bytes, top-1, joules.

Everything is measured on the held-out terrain but the energy, which is modelled: the published
figures of a device are of another network and have to be carried over. That is done under three
assumptions, since they do not agree: `layers` takes the published cost of as many multiply-adds,
from the first layer on (as the planner does); `work` the mean cost of a multiply-add of the
published network; `times` that mean for the whole teacher, shared out as the layers take time on
this machine. The radio takes its published power while it sends.

    bash scripts/run.sh python benchmarks/bottleneck.py --json FILE --figures docs/images
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from goals import Goal, at_least, at_most, publish

from offload_perception.codec.calibration import Calibration
from offload_perception.codec.measure import Measurement, measure
from offload_perception.console import command, positive, progress, table
from offload_perception.evaluation.teacher import teacher_classes
from offload_perception.network.artefact import Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.sizes import LATENT_CODECS, SizeTable, load_costs
from offload_perception.planning.what_if import Conditions, WhatIf
from offload_perception.preparation.prepare import prepare
from offload_perception.profiles import device_profile as profiles
from offload_perception.profiles.device_profile import ABOVE_IDLE, CutCost, DeviceProfile
from offload_perception.profiles.scaling import for_network
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve
from offload_perception.simulation.plots import pyplot, save
from offload_perception.terrain.dataset import dataset

QUALITIES = (10, 30, 50, 70, 80, 85, 90, 95)
AVIF_QUALITIES = (30, 50, 70, 90)  # compared by size; our nodes do not send it
FLOORS = (0.90, 0.95, 0.98)
MBIT_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
ASSUMPTIONS = ('layers', 'work', 'times')
ROUND_TRIP_S, SLOWEST_OF_GOAL = 0.02, 0.5
REPEATS = 30


@dataclass(frozen=True)
class Side:
    """A network, what its codecs cost, and how long its layers take here, in seconds."""

    shape: NetworkShape
    rows: list[Measurement]
    layer_s: np.ndarray

    def pairs(self, wanted: Callable[[Measurement], bool]) -> tuple[tuple[int, str], ...]:
        """Return cut and codec of the rows that are `wanted`."""
        return tuple((self.shape.names.index(r.cut), r.codec) for r in self.rows if wanted(r))


def image_rows(network: Chain, images: np.ndarray, labels: np.ndarray,
               wanted: np.ndarray) -> list[Measurement]:
    """Return a row for each image codec and quality, with the teacher on the server."""
    names = [f'{name}:{quality}' for name in ('jpeg', 'webp') for quality in QUALITIES]
    rows = measure(network, {0: ('raw', *names)}, images, labels, reference=wanted)
    if cv2.haveImageWriter('x.avif'):
        rows += [_avif(network, quality, images, labels, wanted)
                 for quality in AVIF_QUALITIES]
    return rows


def _avif(network: Chain, quality: int, images: np.ndarray, labels: np.ndarray,
          wanted: np.ndarray) -> Measurement:
    sizes, encode_s, classes = [], [], []
    for image in images:
        began = perf_counter()
        _, data = cv2.imencode('.avif', image[..., ::-1], [cv2.IMWRITE_AVIF_QUALITY, quality])
        encode_s.append(perf_counter() - began)
        sizes.append(len(data))
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None
        seen = np.ascontiguousarray(decoded[..., ::-1])
        scores, = network.artefact.real_outputs(network.run(1, network.artefact.last, (seen,)))
        classes.append(int(scores.argmax()))
    found = np.array(classes)
    return Measurement('input', f'avif:{quality}', mean(sizes), 8 * mean(sizes) / images[0].size,
                       1e3 * median(encode_s), 0.0, float((found == wanted).mean()),
                       float((found == labels).mean()), len(images),
                       float(np.percentile(sizes, 95)))


def layer_times(network: Chain, image: np.ndarray) -> np.ndarray:
    """Return the median time of each layer here [s]."""
    xs: tuple[np.ndarray, ...] = (image,)
    times = []
    for k in range(1, network.artefact.last + 1):
        taken = []
        for _ in range(REPEATS):
            began = perf_counter()
            ys = network.run(k, k, xs)
            taken.append(perf_counter() - began)
        times.append(median(taken))
        xs = tuple(y.copy() for y in ys)
    return np.array(times)


def carried(device: DeviceProfile, side: Side, teacher: Side, assumption: str) -> DeviceProfile:
    """Return the published `device` with the network of `side`, under an assumption."""
    if assumption == 'layers':
        return for_network(device, side.shape)
    published = NetworkShape.preset(device.model)
    last = int(np.flatnonzero(device.fits)[-1])  # the largest head that fits
    j_per_mac = device.head_j[last] / published.head_macs[last]
    s_per_mac = device.head_s[last] / published.head_macs[last]
    work = side.shape.head_macs
    if assumption == 'times':
        of_teacher = teacher.shape.head_macs[-1] / teacher.layer_s.sum()
        work = np.concatenate([[0.0], np.cumsum(side.layer_s)]) * of_teacher
    cuts = tuple(CutCost(name, float(s_per_mac * w), energy_j=float(j_per_mac * w))
                 for name, w in zip(side.shape.names, work, strict=True))
    return replace(device, model=side.shape.name, digest=side.shape.digest, measured=False,
                   origin=f'modelled by {assumption}: {device.origin}', cuts=cuts,
                   energy_baseline=ABOVE_IDLE)


class Priced:
    """Joules of a frame for one network, device and assumption."""

    def __init__(self, side: Side, profile: DeviceProfile) -> None:
        self._side, self._profile = side, profile
        self._sizes = SizeTable(side.shape)
        self._sizes.load(side.rows)

    def best(self, wanted: Callable[[Measurement], bool], floor: float,
             mbit: float) -> tuple[float, str]:
        """Return the least joules of the `wanted` rows that agree enough, and its name."""
        what_if = self._what_if(self._side.pairs(wanted), floor)
        forecast = what_if.forecast(_conditions(mbit))
        allowed = what_if.allowed(forecast)
        allowed[0] = False
        if not allowed.any():
            return np.inf, ''
        at = int(np.where(allowed, forecast.energy_j, np.inf).argmin())
        return float(forecast.energy_j[at]), self._name(forecast.options[at])

    def on_board(self, floor: float) -> float:
        """Return the joules of the whole network on board; infinite if it agrees too little."""
        return float(self._profile.head_j[-1]) if self._side.shape.agreement >= floor else np.inf

    def planned(self, floor: float, mbit: float) -> str:
        """Return what the planner chooses from all candidates by itself."""
        return self._name(self._what_if(None, floor).choose(_conditions(mbit), 0.0).option)

    def _what_if(self, pairs: tuple[tuple[int, str], ...] | None, floor: float) -> WhatIf:
        return WhatIf(self._side.shape, self._profile, self._sizes,
                      PlannerSettings(agreement_floor=floor), pairs)

    def _name(self, option: Any) -> str:
        return ('all on board' if option.local
                else f'{self._side.shape.names[option.cut]} {option.codec}')


def _conditions(mbit: float) -> Conditions:
    return Conditions(mbit * 125_000, ROUND_TRIP_S)


def energies(split: Side, teacher: Side) -> list[dict[str, Any]]:
    """Return a row for each device, assumption, floor and bandwidth."""
    rows = []
    for device in map(profiles.load, profiles.names()):
        for assumption in ASSUMPTIONS:
            whole = Priced(teacher, carried(device, teacher, teacher, assumption))
            ours = Priced(split, carried(device, split, teacher, assumption))
            for floor in FLOORS:
                rows += [_energy(device.name, assumption, floor, mbit, whole, ours)
                         for mbit in MBIT_S]
    return rows


def _energy(device: str, assumption: str, floor: float, mbit: float, whole: Priced,
            ours: Priced) -> dict[str, Any]:
    image_j, image = whole.best(lambda r: r.cut == 'input', floor, mbit)
    plain_j, plain = whole.best(lambda r: r.cut != 'input', floor, mbit)
    latent_j, latent = ours.best(lambda r: r.codec.startswith('latent'), floor, mbit)
    without = min(image_j, plain_j, whole.on_board(floor))
    return {'device': device, 'assumption': assumption, 'floor': floor, 'mbit_s': mbit,
            'image_j': image_j, 'image': image, 'plain_j': plain_j, 'plain': plain,
            'on_board_j': whole.on_board(floor), 'split_on_board_j': ours.on_board(floor),
            'bottleneck_j': latent_j, 'bottleneck': latent,
            'saving': 1.0 - latent_j / without if latent_j < np.inf else -np.inf,
            'planned': ours.planned(floor, mbit)}


def bytes_at(rows: Iterable[Measurement], top1: float) -> float:
    """Return the bytes that lossy image codecs take for that top-1, between their settings.

    Above the best of them it is the size of that, which is too little.
    """
    front: list[Measurement] = []
    for row in sorted((r for r in rows if r.codec != 'raw'), key=lambda r: r.bytes):
        if not front or (row.accuracy or 0) > (front[-1].accuracy or 0):
            front.append(row)
    shares = [row.accuracy or 0.0 for row in front]
    return float(np.interp(top1, shares, [row.bytes for row in front]))


def goals(teacher_top1: float, levels: list[Measurement], images: list[Measurement],
          share: float, rows: list[dict[str, Any]]) -> list[Goal]:
    """Return the goals of a bottleneck."""
    def lost(most: float) -> float:
        return min((100 * (teacher_top1 - (r.accuracy or 0)) for r in levels if r.bytes <= most),
                   default=np.inf)

    pressed = [bytes_at(images, r.accuracy or 0) / r.bytes for r in levels]
    slow = [r for r in rows if r['floor'] == 0.95 and r['mbit_s'] <= SLOWEST_OF_GOAL]
    return [at_most('top-1 below the teacher at 120 bytes', lost(120), 1.0, 'points'),
            at_most('top-1 below the teacher at 70 bytes', lost(70), 2.0, 'points'),
            at_most("encoder's share of the multiply-adds", 100 * share, 15.0, '%'),
            at_least('bytes of the best image codec at equal top-1', min(pressed), 12.0, 'x'),
            *(at_least(f'energy saved at 0.95, best of <= 0.5 Mbit/s, {device}, {assumption}',
                       100 * max(r['saving'] for r in slow if r['device'] == device
                                 and r['assumption'] == assumption), 30.0, '%')
              for device in profiles.names() for assumption in ASSUMPTIONS)]


def draw(folder: Path, images: list[Measurement], plain: list[Measurement],
         levels: list[Measurement], teacher_top1: float, rows: list[dict[str, Any]]) -> None:
    """Draw bytes against top-1, and joules against bandwidth at a floor of 0.95."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 4))
    for name in ('jpeg', 'webp', 'avif'):
        own = [r for r in images if r.codec.startswith(name)]
        axes.plot([r.bytes for r in own], [100 * (r.accuracy or 0) for r in own], '.-',
                  label=name, lw=0.8)
    axes.plot([r.bytes for r in plain], [100 * (r.accuracy or 0) for r in plain], 'x', ms=4,
              label='plain cuts')
    axes.plot([r.bytes for r in levels], [100 * (r.accuracy or 0) for r in levels], 'r*-', ms=9,
              label='bottleneck')
    axes.axhline(100 * teacher_top1, color='grey', ls='--', lw=1, label='teacher')
    axes.set(xscale='log', xlabel='bytes with header', ylabel='top-1 [%]', ylim=(60, 100))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    save(plt, figure, folder / 'bottleneck_bytes.png')
    figure, grid = plt.subplots(2, 3, figsize=(11, 6), sharex=True)
    for across, device in zip(grid, profiles.names(), strict=True):
        for axes, assumption in zip(across, ASSUMPTIONS, strict=True):
            priced = [r for r in rows if (r['device'], r['assumption'], r['floor'])
                      == (device, assumption, 0.95)]
            for key, label in (('image_j', 'image'), ('plain_j', 'plain cut'),
                               ('on_board_j', 'on board'), ('bottleneck_j', 'bottleneck')):
                axes.plot([r['mbit_s'] for r in priced], [r[key] for r in priced], '.-',
                          label=label)
            axes.set(xscale='log', yscale='log', title=f'{device}, {assumption}')
            axes.title.set_fontsize(8)
            axes.grid(alpha=0.3)
    grid[0][0].legend(fontsize=8)
    grid[1][1].set_xlabel('bandwidth [Mbit/s]')
    grid[0][0].set_ylabel('energy of a frame [J]')
    save(plt, figure, folder / 'bottleneck_energy.png')


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, price, print the tables."""
    args = _parser().parse_args(argv)
    artefact = prepare(args.model)
    assert artefact.teacher is not None and artefact.bottleneck is not None
    original = prepare(args.teacher or artefact.teacher.model)
    images, labels = dataset('test', artefact.input.shape[0], 2, progress)
    images, labels = images[:args.images], labels[:args.images]
    progress('asking the teacher')
    wanted = teacher_classes(artefact, images, args.teacher)
    ours, theirs = (Chain(a, resolve('cpu'), merge=False) for a in (artefact, original))
    progress(f'image codecs on {len(images)} images')
    pictures = image_rows(theirs, images, labels, wanted)
    progress('the bottleneck')
    levels = measure(ours, {artefact.bottleneck: ('raw', 'auto', *LATENT_CODECS)}, images, labels,
                     Calibration.load(artefact), reference=wanted)
    plain = [r for r in load_costs(original.path) if r.cut != 'input']
    split = Side(NetworkShape.of(artefact), levels, layer_times(ours, images[0]))
    sent = [r for r in pictures if not r.codec.startswith('avif')]
    teacher = Side(NetworkShape.of(original), [*sent, *plain], layer_times(theirs, images[0]))
    rows = energies(split, teacher)
    share = split.shape.head_macs[artefact.bottleneck] / teacher.shape.head_macs[-1]
    teacher_top1 = float((wanted == labels).mean())
    _print(artefact, split, teacher, pictures, plain, levels, teacher_top1, rows)
    if args.figures:
        draw(args.figures, pictures, plain, levels[2:], teacher_top1, rows)
    publish(args.json, {
        'model': artefact.name, 'digest': artefact.digest, 'images': len(images),
        'teacher_top1': teacher_top1, 'agreement': artefact.teacher.agreement,
        'rows': [asdict(r) for r in (*pictures, *plain, *levels)], 'energies': rows},
        goals(teacher_top1, levels[2:], pictures, share, rows))
    return 0


def _print(artefact: Artefact, split: Side, teacher: Side, pictures: list[Measurement],
           plain: list[Measurement], levels: list[Measurement], teacher_top1: float,
           rows: list[dict[str, Any]]) -> None:
    assert artefact.bottleneck is not None
    whole_s, macs = teacher.layer_s.sum(), teacher.shape.head_macs

    def cells(r: Measurement, side: Side) -> tuple[str, ...]:
        cut = side.shape.names.index(r.cut)
        return (r.cut, r.codec, f'{100 * side.shape.head_macs[cut] / macs[-1]:.1f}',
                f'{100 * side.layer_s[:cut].sum() / whole_s:.1f}', f'{r.bytes:.1f}',
                '' if r.bytes_p95 is None else f'{r.bytes_p95:.0f}',
                f'{100 * (r.accuracy or 0):.2f}', f'{100 * r.agreement:.2f}',
                f'{bytes_at(pictures, r.accuracy or 0) / r.bytes:.1f}')

    print(table(('cut', 'codec', '% of work', '% of time here', 'bytes', '95 %', 'top-1 %',
                 'agreement %', 'image / this'),
                [*(cells(r, teacher) for r in pictures), *(cells(r, split) for r in levels),
                 *(cells(r, teacher) for r in plain if r.agreement >= 0.9)]))
    print(f'\nteacher on board: top-1 {teacher_top1:.2%}; {artefact.name} on board: agreement '
          f'{split.shape.agreement:.2%}, {split.shape.head_macs[-1] / macs[-1]:.1%} of the work, '
          f'{split.layer_s.sum() / whole_s:.1%} of the time here\n')
    print(table(('device', 'assumption', 'floor', 'Mbit/s', 'image J', 'plain cut J', 'on board J',
                 'bottleneck J', 'saved %', 'planned'),
                [(r['device'], r['assumption'], f'{r["floor"]:.2f}', f'{r["mbit_s"]:g}',
                  *(f'{r[key]:.4f}' for key in ('image_j', 'plain_j', 'on_board_j',
                                                'bottleneck_j')),
                  f'{100 * r["saving"]:.0f}', r['planned']) for r in rows]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default='aerial_split', help='a network with a teacher')
    parser.add_argument('--teacher', type=Path, metavar='FOLDER',
                        help='if it is no longer where it was')
    parser.add_argument('--images', type=positive, default=3124,
                        help='of the held-out terrain (default: all)')
    parser.add_argument('--figures', type=Path, metavar='FOLDER')
    parser.add_argument('--json', metavar='FILE')
    return parser


if __name__ == '__main__':
    sys.exit(main())
