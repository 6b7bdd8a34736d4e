"""The original layer-by-layer measurements: ratios, shares per layer type, claims, figures.

Nothing is measured here: the figures are the published ones, from the bundled device profiles. The
claims are those of doi 10.1155/2021/6650053, on what is best to send with and without a deadline.

    python3 benchmarks/original_measurements.py --figures docs/images
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from goals import Goal, at_least, publish

from offload_perception.console import command, table
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.sizes import SizeTable
from offload_perception.planning.what_if import Conditions, WhatIf
from offload_perception.profiles import device_profile as profiles
from offload_perception.profiles.device_profile import DeviceProfile
from offload_perception.simulation.plots import pyplot, save

NAMES = {'raspberry_pi_3b_plus': 'Pi 3B+, float32',
         'raspberry_pi_3b_plus_coral': 'with Coral, uint8'}
KINDS = ('convolution', 'pooling', 'fully connected')

MBIT_S = (1.0, 0.2, 0.1, 0.03)
DRONES = (1, 5, 9)
DEADLINE_S = {'raspberry_pi_3b_plus': 4.0, 'raspberry_pi_3b_plus_coral': 2.0}
TAIL_S, PERIOD_S = 0.4, 4.0  # of the whole network on the server; of the frames of a drone


def kind(name: str) -> str:
    """Return the type of a layer by its name."""
    return KINDS[0] if 'conv' in name else KINDS[1] if 'pool' in name else KINDS[2]


def joules(profile: DeviceProfile) -> np.ndarray:
    """Return the published energy of a run of each head, idle included [J]; NaN if it is none."""
    return np.array([cut.energy_j for cut in profile.cuts])


def shares(profile: DeviceProfile) -> dict[str, tuple[float, float]]:
    """Return each layer type's share of time and energy of the longest prefix that fits."""
    last = int(np.flatnonzero(profile.fits)[-1])
    steps = [(kind(cut.name), s, j) for cut, s, j in zip(
        profile.cuts[1:last + 1], np.diff(profile.head_s[:last + 1]),
        np.diff(joules(profile)[:last + 1]), strict=True)]
    return {k: (sum(s for kk, s, _ in steps if kk == k) / profile.head_s[last],
                sum(j for kk, _, j in steps if kk == k) / joules(profile)[last]) for k in KINDS}


def claims(name: str) -> list[dict[str, Any]]:
    """Return what costs least with and without a deadline, by bandwidth and number of drones.

    Candidates are the raw image, every cut without compression, and all on board. The frames of
    the other drones queue at the server as in M/D/1.
    """
    shape = NetworkShape.preset('vgg16_112')
    what_if = WhatIf(shape, profiles.load(name), SizeTable(shape),
                     PlannerSettings(agreement_floor=0.0),
                     tuple((cut, 'raw') for cut in range(shape.last)))
    rows = []
    for mbit, drones in product(MBIT_S, DRONES):
        load = (drones - 1) * TAIL_S / PERIOD_S
        forecast = what_if.forecast(Conditions(
            mbit * 125e3, wait_s=load * TAIL_S / (2.0 * (1.0 - load)), tail_s=TAIL_S))
        energy_j = np.where(what_if.allowed(forecast), forecast.energy_j, np.inf)
        late = (forecast.latency_s > DEADLINE_S[name]) | ~np.isfinite(energy_j)
        free = int(energy_j.argmin())
        bound = int(np.where(late, np.inf, energy_j).argmin()) if not late.all() else None
        rows.append({'device': name, 'mbit_s': mbit, 'drones': drones,
                     **{what: place if place is None else {
                         'sent': forecast.options[place].named(shape.names),
                         'latency_s': float(forecast.latency_s[place]),
                         'energy_j': float(energy_j[place])}
                        for what, place in (('without', free), ('under', bound))}})
    return rows


def claimed(choice: dict[str, Any] | None) -> str:
    """Return a choice in words."""
    return 'nothing is in time' if choice is None else (
        f'{choice["sent"]}, {choice["latency_s"]:.2f} s, {choice["energy_j"]:.2f} J')


def draw(folder: Path, both: dict[str, DeviceProfile]) -> None:
    """Draw time and energy by prefix, and shares by layer type."""
    plt = pyplot()
    figure, (time_axes, energy_axes) = plt.subplots(1, 2, figsize=(10, 4))
    for name, profile in both.items():
        at = np.flatnonzero(profile.fits)
        time_axes.plot(at, profile.head_s[at], marker='.', label=NAMES[name])
        energy_axes.plot(at, joules(profile)[at], marker='.', label=NAMES[name])
    for axes, label in ((time_axes, 'time of one inference [s]'),
                        (energy_axes, 'energy of one inference, idle included [J]')):
        axes.axvspan(14.5, 17.5, color='grey', alpha=0.15, label='does not fit on the Pi alone')
        axes.set(xlabel='layers', ylabel=label, xticks=range(0, 18, 2))
        axes.legend(fontsize=8)
    save(plt, figure, folder / 'original_prefixes.png')
    figure, axes = plt.subplots(figsize=(7, 3))
    for row, profile in enumerate(both.values()):
        for column, figures in enumerate(np.array(list(shares(profile).values())).T):
            left = 0.0
            for i, share in enumerate(figures):
                axes.barh(2 * row + column, share, left=left, color=f'C{i}',
                          label=KINDS[i] if row + column == 0 else None)
                left += share
    axes.set(yticks=range(4), xlabel='share of the longest prefix that fits', yticklabels=[
        f'{NAMES[name]}: {what}' for name in both for what in ('time', 'energy')])
    axes.legend(fontsize=8)
    save(plt, figure, folder / 'original_shares.png')


def goals(means: dict[str, float]) -> list[Goal]:
    """Return what the published figures have to keep to be plausible."""
    return [at_least('mean power of the Pi (above its idle power)', means['pi_w'], 1.9, 'W'),
            at_least('mean power with Coral (above that of the Pi)', means['coral_w'],
                     means['pi_w'], 'W')]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Print ratios and shares; draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--figures', type=Path, help='folder to draw into')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args(argv)
    both = {name: profiles.load(name) for name in NAMES}
    pi, coral = both.values()
    pi_j, coral_j = map(joules, both.values())
    shape = NetworkShape.preset('vgg16_112')
    rows = []
    for i in range(1, shape.last + 1):
        fits = bool(pi.fits[i])
        rows.append((i, shape.names[i], f'{pi.head_s[i]:.3f}' if fits else 'does not fit',
                     f'{coral.head_s[i]:.3f}',
                     f'{pi.head_s[i] / coral.head_s[i]:.2f}' if fits else '',
                     f'{pi_j[i]:.3f}' if fits else 'does not fit', f'{coral_j[i]:.3f}',
                     f'{coral_j[i] / pi_j[i]:.2f}' if fits else '',
                     int(shape.nbytes[i])))
    print(table(('layers', 'last', 'Pi s', 'Coral s', 'Pi / Coral', 'Pi J', 'Coral J',
                 'Coral / Pi', 'int8 bytes'), rows))
    means = {'pi_by_coral_s': float(np.mean(pi.head_s[1:15] / coral.head_s[1:15])),
             'coral_by_pi_j': float(np.mean(coral_j[1:15] / pi_j[1:15])),
             'pi_w': float(pi_j[14] / pi.head_s[14]),
             'coral_w': float(coral_j[14] / coral.head_s[14])}
    print(f'\nmean over prefixes 1 to 14: {means["pi_by_coral_s"]:.2f} times faster with Coral, '
          f'{means["coral_by_pi_j"]:.2f} of the energy; mean power at 14 layers: '
          f'{means["pi_w"]:.2f} W and {means["coral_w"]:.2f} W')
    for name, profile in both.items():
        print(NAMES[name], {k: f'{s:.0%} of time, {j:.0%} of energy'
                            for k, (s, j) in shares(profile).items()})
    rows_of_claims = [row for name in NAMES for row in claims(name)]
    print(table(('device', 'Mbit/s', 'drones', 'without deadline', 'under the deadline'), [
        (NAMES[r['device']], r['mbit_s'], r['drones'], claimed(r['without']),
         claimed(r['under'])) for r in rows_of_claims]))
    if args.figures:
        draw(args.figures, both)
    publish(args.json, {'means': means, 'shares': {n: shares(p) for n, p in both.items()},
                        'claims': rows_of_claims}, goals(means))
    return 0


if __name__ == '__main__':
    sys.exit(main())
