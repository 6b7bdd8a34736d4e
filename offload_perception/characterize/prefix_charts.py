"""Draw time and energy of the prefixes. matplotlib is loaded when the first figure is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.characterize.record import Row
from offload_perception.characterize.shares import KINDS, by_kind, percent
from offload_perception.errors import ConfigError
from offload_perception.profiles.device_profile import DeviceProfile

_COLOURS = {'conv': '#4477aa', 'pool': '#ccbb44', 'fc': '#ee6677', 'other': '#bbbbbb'}
_MARKERS = 'os^Dv'


@dataclass(frozen=True)
class Line:
    """One backend in a figure: a value for each prefix, NaN if it does not fit.

    `floor` is drawn dotted: the least value that was met.
    """

    label: str
    values: Sequence[float] | np.ndarray
    half_widths: Sequence[float] | None = None
    floor: Sequence[float] | None = None


def draw_run(folder: Path, rows: Sequence[Row], note: str) -> list[Path]:
    """Draw time, energy and shares of a run into `folder`; `note` is printed under each figure.

    :raises ConfigError: if matplotlib is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backends = {row.backend: [r for r in rows if r.backend == row.backend] for row in rows}
    names = [row.name for row in next(iter(backends.values()))]
    times = [Line(b, [r.mean_s * 1e3 for r in rs], [1.96 * r.spread_s * 1e3 for r in rs],
                  [r.least_s * 1e3 for r in rs]) for b, rs in backends.items()]
    energies = [Line(b, [r.active_j for r in rs], [r.active_half_j for r in rs])
                for b, rs in backends.items()]
    return [
        draw_lines(folder / 'time.png', names, times, 'time of one run [ms]; dotted: least', note),
        draw_lines(folder / 'energy.png', names, energies,
                   'energy of one run above idle [J], 95 % interval', note),
        _draw_shares(folder / 'shares.png', backends, note)]


def draw_profiles(folder: Path, profiles: Sequence[DeviceProfile], note: str) -> list[Path]:
    """Draw time and energy of profiles of the same network, one line each."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [cut.name for cut in profiles[0].cuts[1:]]

    def lines(figure: str, scale: float) -> list[Line]:
        values = [np.where(p.fits, getattr(p, figure), np.nan)[1:] * scale for p in profiles]
        return [Line(p.name, v) for p, v in zip(profiles, values, strict=True)]

    return [draw_lines(folder / 'compare_time.png', names, lines('head_s', 1e3),
                       'time of one run [ms]', note),
            draw_lines(folder / 'compare_energy.png', names, lines('head_j', 1.0),
                       'energy of one run [J]', note)]


def draw_lines(file: Path, names: Sequence[str], lines: Sequence[Line], what: str,
               note: str) -> Path:
    """Draw one value over the prefixes, cumulative by their nature; the scale is logarithmic."""
    figure, axes = _figure(note)
    for line, marker in zip(lines, _MARKERS * len(lines), strict=False):
        bars = axes.errorbar(range(1, len(names) + 1), line.values, yerr=line.half_widths,
                             label=line.label, marker=marker, markersize=4, linewidth=1.2,
                             capsize=2)
        if line.floor is not None:
            axes.plot(range(1, len(names) + 1), line.floor, ':', color=bars[0].get_color(),
                      linewidth=1.0)
    axes.set_yscale('log')
    axes.set_xticks(range(1, len(names) + 1),
                    [f'{n} {name}' for n, name in enumerate(names, 1)], rotation=60, ha='right',
                    fontsize=7)
    axes.set(ylabel=what, xlabel='all layers up to and including')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=110)
    return file


def _draw_shares(file: Path, backends: dict[str, list[Row]], note: str) -> Path:
    """Draw the share of each kind of layer in time and energy.

    A kind below zero, by the uncertainty of the prefixes, is drawn as zero; if it is far
    below, the bar is called disturbed.
    """
    figure, axes = _figure(note, height=1.6 + 0.7 * len(backends))
    for what, figure_name in (('energy', 'active_j'), ('time', 'mean_s')):
        for backend, rows in backends.items():
            shares, left = by_kind(rows, figure_name), 0.0
            label = f'{backend}, {what}' + ' (disturbed)' * (min(percent(shares).values()) < -5)
            drawn = percent({kind: max(0.0, share) for kind, share in shares.items()})
            for kind, share in drawn.items():
                axes.barh(label, share, left=left, color=_COLOURS[kind])
                left += share
    handles = [_patch(_COLOURS[kind], text) for kind, text in KINDS.items()]
    axes.legend(handles=handles, ncols=4, loc='lower center', bbox_to_anchor=(0.5, 1.0))
    axes.set(xlabel='share of the whole network that fits [%]', xlim=(0, 100))
    figure.savefig(file, dpi=110)
    return file


def _figure(note: str, height: float = 5.0) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as e:
        raise ConfigError(f'figures need matplotlib ({e}); pip install matplotlib, or choose '
                          '--no-figures') from e
    figure = Figure(figsize=(8.0, height), layout='constrained')
    figure.supxlabel(note, fontsize=7)
    return figure, figure.add_subplot()


def _patch(colour: str, text: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=text)
