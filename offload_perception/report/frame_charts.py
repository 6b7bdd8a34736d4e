"""Charts of a flight's frames; each returns a figure, None if the flight has no data for it."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.frames import Outcome
from offload_perception.report import analysis, plotting
from offload_perception.report.plotting import BAD, DRONE, GREY, LINK, SERVER, STAGE_COLOURS
from offload_perception.report.recorded_flight import Flight
from offload_perception.telemetry.records import STAGES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 80
FAR = 4.0  # times the usual latency: a deadline beyond is only named, else it flattens the stages
_OTHER = 'other reasons'


def latency(flight: Flight) -> 'Figure | None':
    """Draw the mean of every stage over time, stacked, with the slowest frames above."""
    frames = flight.frames.where(analysis.has_result(flight.frames))
    if not len(frames):
        return None
    figure, axes = plotting.new_figure(3.6)
    edges, of_frame = _bins(frames['t'])
    middle = (edges[:-1] + edges[1:]) / 2
    stages = (np.nan_to_num(frames[s].astype(float)) * 1e3 for s in STAGES)
    means = [_binned(stage, of_frame, len(middle), np.mean) for stage in stages]
    axes.stackplot(middle, np.nan_to_num(means),
                   colors=[STAGE_COLOURS[s] for s in STAGES],
                   labels=[s.replace('_', ' ') for s in STAGES])
    slowest = _binned(frames['total'] * 1e3, of_frame, len(middle), np.max)
    axes.plot(middle, slowest, color='black', lw=0.8, label='slowest')
    _deadline_line(axes, frames)
    plotting.label_time(axes, 'latency [ms]', top=_robust_top(frames))
    plotting.legend_above(figure, axes)
    return figure


def network(flight: Flight) -> 'Figure | None':
    """Draw the network from top to bottom: where each layer ran, and where frames were cut."""
    frames = flight.frames
    if not analysis.has_result(frames).any():
        return None
    names = analysis.cut_names(flight)
    layers = len(names) - 1
    board, server = analysis.layer_shares(frames, layers)
    total = board + server
    figure, axes = plotting.new_figure(0.9 + 0.22 * layers)
    rows = np.arange(1, layers + 1)
    axes.barh(rows, board / total, color=DRONE, height=0.8, label='on board')
    axes.barh(rows, server / total, left=board / total, color=SERVER, height=0.8,
              label='on the server')
    for cut, count in enumerate(analysis.cut_counts(frames, layers)):
        if count:
            what = 'all on board' if cut == layers else 'cut'
            axes.axhline(cut + 0.5, color='black', lw=0.5 + 3.0 * count / total[0])
            axes.annotate(f'{what}: {count} frame{"" if count == 1 else "s"}', (1.01, cut + 0.5),
                          xycoords=('axes fraction', 'data'), va='center', fontsize=8.5)
    axes.set_yticks(rows, names[1:], fontsize=8.5)
    axes.set_ylim(layers + 0.6, 0.4)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ['0', '50 %', '100 %'])
    axes.set_xlabel('share of the frames with a result')
    axes.grid(False)
    plotting.legend_above(figure, axes)
    return figure


def decisions(flight: Flight) -> 'Figure | None':
    """Draw the cut and codec of every frame over time, a row for each that was used."""
    frames = flight.frames.where(flight.frames['split_name'] != '')  # others had no cut yet
    if not len(frames):
        return None
    names = analysis.choice_names(flight, frames)
    used = [names[i] for i in np.lexsort((np.array(names), frames['split']))]
    row_of = {name: row for row, name in enumerate(dict.fromkeys(used))}
    rows = np.array([row_of[name] for name in names])
    figure, axes = plotting.new_figure(1.4 + 0.25 * len(row_of))
    for outcome, colour in zip(Outcome, (SERVER, DRONE, BAD), strict=True):
        chosen = frames['outcome'] == outcome
        if chosen.any():
            axes.plot(frames['t'][chosen], rows[chosen], '.', ms=4, color=colour,
                      label=outcome.name.lower())
    axes.set_yticks(range(len(row_of)), list(row_of), fontsize=8.5)
    axes.set_ylim(len(row_of) - 0.4, -0.6)
    plotting.label_time(axes, '')
    plotting.legend_above(figure, axes)
    return figure


def misses(flight: Flight) -> 'Figure | None':
    """Draw every frame's latency against its deadline, the misses by reason."""
    frames = flight.frames.where(flight.frames['deadline'] > 0)
    if not len(frames):
        return None
    reasons = np.array(analysis.miss_reasons(frames), dtype=object)
    figure, axes = plotting.new_figure(3.6)
    axes.plot(frames['t'][reasons == ''], frames['total'][reasons == ''] * 1e3, '.', ms=3,
              color=GREY, label=f'in time {np.sum(reasons == "")}')
    for n, (reason, count) in enumerate(_most_common(reasons)):
        chosen = reasons == reason
        axes.plot(frames['t'][chosen], frames['total'][chosen] * 1e3, 'xv^+Ds'[n], ms=4,
                  label=f'{reason.replace("_", " ")} {count}')
    _deadline_line(axes, frames)
    axes.set_yscale('log')
    axes.set_xlabel('time [s]')
    axes.set_ylabel('latency [ms]')
    plotting.legend_above(figure, axes, 2)
    return figure


def _most_common(reasons: np.ndarray, keep: int = 5) -> list[tuple[str, int]]:
    """Return the most frequent reasons with their counts; the others are merged, in place."""
    common = Counter(reasons[reasons != '']).most_common()
    rare = [reason for reason, _ in common[keep:]]
    reasons[np.isin(reasons, rare)] = _OTHER
    return common[:keep] + ([(_OTHER, sum(n for _, n in common[keep:]))] if rare else [])


def estimates(flight: Flight) -> 'Figure | None':
    """Draw predictions against actual values."""
    rows = analysis.predictions(flight)
    if not len(rows):
        return None
    figure, axes = plotting.new_figure(6.0, rows=3)
    for ax, name in zip(axes, ('total', 'link', 'server_wait'), strict=True):
        truth, guess = rows[name] * 1e3, rows[f'predicted_{name}'] * 1e3
        ax.plot(rows['t'], truth, '.', ms=3, color=GREY, label='truth')
        ax.plot(rows['t'], guess, '.', ms=2, color=LINK, label='estimate')
        known = np.isfinite(truth) & np.isfinite(guess)
        if known.any():
            error = np.median(np.abs(truth - guess)[known])
            ax.set_title(f'median error {error:.1f} ms', fontsize=9.5, loc='right')
            ax.set_ylim(0.0, 1.3 * np.percentile(np.r_[truth[known], guess[known]], 98))
        ax.set_ylabel(f'{name.replace("_", " ")} [ms]')
    plotting.legend_above(figure, axes[0])
    axes[-1].set_xlabel('time [s]')
    return figure


def drops(flight: Flight) -> 'Figure | None':
    """Draw how many frames were dropped for each reason, including those that never arrived."""
    reasons = flight.tally.reasons.most_common()
    if not reasons:
        return None
    figure, axes = plotting.new_figure(0.9 + 0.35 * len(reasons))
    bars = axes.barh([r for r, _ in reasons], [n for _, n in reasons], color=BAD, height=0.6)
    axes.bar_label(bars, padding=3)
    axes.invert_yaxis()
    axes.set_xlabel('frames')
    axes.margins(x=0.15)
    return figure


def _bins(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of equal time bins, and the bin of each frame."""
    edges = np.linspace(t.min(), t.max() + 1e-6, min(BINS, max(2, len(t) // 4)) + 1)
    return edges, np.clip(np.digitize(t, edges) - 1, 0, len(edges) - 2)


def _binned(values: np.ndarray, of_frame: np.ndarray, bins: int,
            function: Callable[[np.ndarray], float]) -> np.ndarray:
    """Return `function` of each bin's values; an empty bin is NaN."""
    groups = (values[of_frame == b] for b in range(bins))
    return np.array([function(g) if len(g) else np.nan for g in groups])


def _robust_top(frames: Any) -> float:
    """Return an upper end that shows all but the rarest frames, and a deadline near them [ms]."""
    usual, deadline = np.percentile(frames['total'], 99.0), float(frames['deadline'].max())
    return float(1.15e3 * (max(usual, deadline) if deadline < FAR * usual else usual))


def _deadline_line(axes: Any, frames: Any) -> None:
    asked = frames.where(frames['deadline'] > 0)
    if len(asked):
        low, high = 1e3 * asked['deadline'].min(), 1e3 * asked['deadline'].max()
        words = _ms(low) if low == high else f'{_ms(low)} to {_ms(high)}'
        axes.plot(asked['t'], asked['deadline'] * 1e3, '--', color=BAD, lw=1.2,
                  drawstyle='steps-post', label=f'deadline {words} ms')


def _ms(milliseconds: float) -> str:
    return f'{milliseconds:,.0f}' if milliseconds >= 100 else f'{milliseconds:.3g}'
