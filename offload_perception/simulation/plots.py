"""Figures of plans and simulations; they need matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import ConfigError
from offload_perception.planning.decision import Option
from offload_perception.planning.forecast import Forecast
from offload_perception.simulation.scenario import OURS
from offload_perception.simulation.study import Point

_WIDE = 30  # a larger ratio of the swept values is drawn on a logarithmic axis


def pyplot() -> Any:
    """Return matplotlib's pyplot, without a window.

    :raises ConfigError: if matplotlib is not installed.
    """
    try:
        import matplotlib
        matplotlib.use('Agg')
        from matplotlib import pyplot as plt
    except ImportError as e:
        raise ConfigError(f'figures need matplotlib ({e}); pip install matplotlib, or leave the '
                          'figure option out') from e
    return plt


def save(plt: Any, figure: Any, path: str | Path) -> None:
    """Write a small PNG; its folder is made if there is none."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_candidates(path: str | Path, forecast: Forecast, allowed: np.ndarray,
                    front: Sequence[int], chosen: int, deadline_s: float, title: str) -> None:
    """Draw time against energy of all candidates, the Pareto front, the deadline, the choice."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 4.5))
    kinds = np.array([_kind(forecast.options[i]) for i in range(len(forecast.options))])
    for kind in dict.fromkeys(kinds):
        at = (kinds == kind) & allowed
        axes.plot(forecast.latency_s[at], np.maximum(forecast.energy_j[at], 1e-6), 'o', ms=4,
                  alpha=0.7, label=kind)
    axes.plot(forecast.latency_s[list(front)], forecast.energy_j[list(front)], 'k-', lw=0.8,
              label='Pareto front')
    axes.plot(forecast.latency_s[chosen], forecast.energy_j[chosen], 'r*', ms=14, label='choice')
    if deadline_s > 0:
        axes.axvline(deadline_s, color='grey', ls='--', lw=1, label='deadline')
    axes.set(xscale='log', yscale='log', xlabel='latency [s]', ylabel='energy above idle [J]')
    axes.set_title(title, fontsize='medium')
    axes.legend(fontsize=7)
    save(plt, figure, path)


def draw_map(path: str | Path, choices: list[list[Option | None]], bandwidths: np.ndarray,
             deadlines_s: np.ndarray, names: Sequence[str], title: str) -> None:
    """Draw which option is chosen over bandwidth and deadline."""
    plt = pyplot()
    from matplotlib.patches import Patch

    labels = [[_label(option, names) for option in row] for row in choices]
    order = list(dict.fromkeys(label for row in labels for label in row))
    colours = {label: plt.get_cmap('tab20')(i % 20) for i, label in enumerate(order)}
    figure, axes = plt.subplots(figsize=(7, 4.5))
    grid = np.array([[colours[label][:3] for label in row] for row in labels])
    axes.pcolormesh(np.asarray(bandwidths) * 8e-6, deadlines_s, grid, shading='nearest')
    axes.set(xscale='log', yscale='log', xlabel='bandwidth [Mbit/s]', ylabel='deadline [s]')
    axes.set_title(title, fontsize='medium')
    axes.legend(handles=[Patch(color=colours[label], label=label) for label in order],
                fontsize=7, loc='upper left', bbox_to_anchor=(1.01, 1.0))
    save(plt, figure, path)


def draw_study(path: str | Path, axis: str, rows: dict[str, list[Point]], title: str) -> None:
    """Draw the share of deadlines met and the energy per frame over the swept figure.

    The bars are standard errors; `axis` names the figure and its unit.
    """
    plt = pyplot()
    columns = 1 + len(rows) // 20
    figure, (met, energy) = plt.subplots(1, 2, figsize=(9.5 + 2.8 * columns, 4.2))
    for name, points in rows.items():
        style = {'lw': 2.5} if name == OURS else {'lw': 1.2, 'ls': '--' if name == 'clairvoyant'
                                                  else '-'}
        for axes, measure, unit in ((met, 'met', 100.0), (energy, 'energy_j', 1.0)):
            axes.errorbar([p.value for p in points],
                          [unit * getattr(p.mean, measure) for p in points],
                          [unit * p.error[measure] for p in points],
                          marker='.', capsize=2, label=name, **style)
    values = sorted({p.value for points in rows.values() for p in points})
    for axes in (met, energy):
        if values[0] > 0 and values[-1] > _WIDE * values[0]:
            axes.set_xscale('log')
        axes.set_xticks(values, [f'{value:g}' for value in values])
        axes.set_xticks([], minor=True)
    figure.suptitle(title, fontsize='medium')
    met.set(xlabel=axis, ylabel='deadlines met [%]',
            ylim=(None, min(met.get_ylim()[1], 101.0)))
    energy.set(xlabel=axis, ylabel='energy above idle [J/frame]')
    energy.legend(fontsize=7, ncols=columns, loc='upper left',
                  bbox_to_anchor=(1.01, 1.0))
    save(plt, figure, path)


def _kind(option: Option) -> str:
    if option.local:
        return 'all on board'
    if option.cut == 0:
        return 'image'
    lossy = option.codec.startswith(('lossy', 'transform'))
    return 'cut, lossy' if lossy else 'cut, lossless'


def _label(option: Option | None, names: Sequence[str]) -> str:
    if option is None:
        return 'all late'
    return 'all on board' if option.local else f'{names[option.cut]} {option.codec}'
