"""Analysis of a flight's tables: misses and their reasons, where layers ran, key figures."""

from collections import Counter
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from offload_perception.flight.policy import VALID_S
from offload_perception.frames import DropReason, Outcome
from offload_perception.network.output_meaning import DETECTION, SEGMENTATION
from offload_perception.report.recorded_flight import Flight
from offload_perception.report.topic_table import Table
from offload_perception.telemetry.cut_names import cut_names as names_of_cuts
from offload_perception.telemetry.records import STAGES
from offload_perception.telemetry.summary import NOT_DELIVERED


def has_result(frames: Table) -> np.ndarray:
    """Return which frames have a result, bool of shape (frames,)."""
    result: np.ndarray = frames['outcome'] != Outcome.DROPPED
    return result


def miss_reasons(frames: Table) -> list[str]:
    """Return for each frame why it missed its deadline; empty if it did not, or had none.

    A dropped frame missed for the reason of its drop. A late one counts for the stage that took
    most above its median over the frames in time (over all frames, if none was).
    """
    stages = np.nan_to_num(np.stack([frames[s].astype(float) for s in STAGES], axis=1))
    met = frames['deadline_met'].astype(bool)
    usual = np.median(stages[met] if met.any() else stages, axis=0)
    worst = np.argmax(stages - usual, axis=1)
    return [_reason(*row) for row in zip(
        frames['deadline'], met, frames['outcome'], frames['reason'], worst, strict=True)]


def _reason(deadline: float, met: bool, outcome: int, reason: str, worst: int) -> str:
    if not deadline or met:
        return ''
    return f'dropped: {reason}' if outcome == Outcome.DROPPED else f'late: {STAGES[worst]}'


def layer_shares(frames: Table, layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how many frames ran each layer on board and on a server, int of shape (layers,)."""
    on_board = _cuts(frames, layers)[:, None] > np.arange(layers)  # column k is layer k + 1
    return on_board.sum(axis=0), (~on_board).sum(axis=0)


def cut_counts(frames: Table, layers: int) -> np.ndarray:
    """Return how many results came from each cut, int of shape (layers + 1,)."""
    return np.bincount(_cuts(frames, layers), minlength=layers + 1)


def _cuts(frames: Table, layers: int) -> np.ndarray:
    """Return the final cut of each frame with a result.

    A frame that was sent, got no reply and was finished by its hedge counts as all on board.
    """
    done = frames.where(has_result(frames))
    return np.where(done['outcome'] == Outcome.LOCAL, layers, done['split']).astype(int)


def cut_names(flight: Flight) -> tuple[str, ...]:
    """Return the names of all cuts, from 'input' to the last layer."""
    cut = flight.frames.where(np.isfinite(flight.frames['split']))
    seen = dict(zip(cut['split'].astype(int), cut['split_name'], strict=True))
    return names_of_cuts({k: name for k, name in seen.items() if name}, flight.models)


def choice_names(flight: Flight, rows: Table) -> list[str]:
    """Return what each row of frames or decisions used: cut and codec, or all on board."""
    last = len(cut_names(flight)) - 1
    return ['all on board' if split == last else f'{name} {codec}'.strip() for split, name, codec
            in zip(rows['split'], rows['split_name'], rows['codec'], strict=True)]


@dataclass(frozen=True)
class Change:
    """The choice moved at `t` [s], for a reason in words, and stayed for `held_s`."""

    t: float
    before: str
    after: str
    reason: str
    held_s: float


def _why(rows: Table, i: int) -> str:
    """Return a decision's reason, what it expected, and why the second best was not chosen."""
    parts = [str(rows['reason'][i])]
    if np.isfinite(rows['latency'][i]):
        parts.append(f'{1e3 * rows["latency"][i]:.0f} ms and {rows["energy"][i]:.2g} J expected')
    if np.isfinite(rows['round_trip'][i]):
        known = np.isfinite(rows['bandwidth'][i])
        parts.append(f'uplink {rows["bandwidth"][i] / 1e3:,.0f} kB/s' if known else
                     'bandwidth of the uplink unknown')
    if rows['runner_up'][i]:
        parts.append(f'not {rows["runner_up"][i]}: {rows["runner_up_reason"][i]}')
    return '; '.join(parts)


def changes(flight: Flight, most: int = 20) -> list[Change]:
    """Return the changes of the choice, in order; of more than `most` those that held longest."""
    rows = flight.decisions
    if not len(rows):
        return []
    names = choice_names(flight, rows)
    moved = [0, *(i for i in range(1, len(names)) if names[i] != names[i - 1])]
    ends_s = [*rows['t'][moved[1:]], flight.duration_s]
    found = [Change(float(rows['t'][i]), names[i - 1], names[i], _why(rows, i),
                    float(end_s - rows['t'][i]))
             for i, end_s in zip(moved, ends_s, strict=True) if i]
    longest = sorted(found, key=lambda change: -change.held_s)[:most]
    return sorted(longest, key=lambda change: change.t)


def predictions(flight: Flight) -> Table:
    """Return frames with a result, with their predictions.

    Columns: t, and for each of total, link and server_wait the truth and `predicted_<name>` [s].
    Link is round trip + bytes / bandwidth. A frame has no row if nothing predicted it.
    """
    frames = flight.frames.where(has_result(flight.frames))
    decisions = flight.decisions
    row_of = {int(s): i for i, s in enumerate(decisions['sequence'])
              if np.isfinite(decisions['latency'][i])}
    pairs = [(f, row_of[int(s)]) for f, s in enumerate(frames['sequence']) if int(s) in row_of]
    f, d = np.array(pairs, dtype=int).reshape(-1, 2).T
    sent = frames['bytes'][f].astype(float)
    with np.errstate(divide='ignore', invalid='ignore'):
        link = decisions['round_trip'][d] + sent / decisions['bandwidth'][d]
    return Table({
        't': frames['t'][f], 'total': frames['total'][f], 'link': frames['link'][f],
        'server_wait': frames['server_wait'][f], 'predicted_total': decisions['latency'][d],
        'predicted_link': np.where(sent > 0, link, np.nan),
        'predicted_server_wait': decisions['server_wait'][d]})


def energy_of_results(flight: Flight) -> Table:
    """Return the FrameEnergy of the frames with a result; dropped ones take almost nothing."""
    done = flight.frames['sequence'][has_result(flight.frames)]
    return flight.energy.where(np.isin(flight.energy['sequence'], done))


def _energy_of_a_frame(flight: Flight) -> float:
    """Return the mean energy of a frame with a result [J].

    NaN if it is less than its own uncertainty: a slow meter distinguishes frames by regression,
    whose errors do not average out.
    """
    rows = energy_of_results(flight)
    rows = rows.where(np.isfinite(rows['energy']) & np.isfinite(rows['uncertainty']))
    if not len(rows) or rows['energy'].mean() < rows['uncertainty'].mean():
        return float('nan')
    return float(rows['energy'].mean())


def _residual_w(flight: Flight) -> float:
    """Return what the newest fit of the stages' powers left unexplained [W]; NaN = no fit."""
    told = flight.energy['residual_w']
    told = told[np.isfinite(told)]
    return float(told[-1]) if len(told) else float('nan')


def _server_energy(flight: Flight) -> float:
    """Return the mean energy of a frame that a metered server completed [J]; NaN = none was."""
    joules, frames = 0.0, 0
    for name in np.unique(flight.servers['server']):
        one = flight.servers.where(flight.servers['server'] == name)
        completed, each_j = np.diff(one['completed']), one['frame_energy'][1:]
        known = (completed > 0) & np.isfinite(each_j)
        joules += float(completed[known] @ each_j[known])
        frames += int(completed[known].sum())
    return joules / frames if frames else float('nan')


@dataclass(frozen=True)
class PolicySpan:
    """A time [s] during which one mission policy held."""

    policy: str
    start_s: float
    end_s: float


def policy_spans(flight: Flight) -> list[PolicySpan]:
    """Return which mission policy held when, in order.

    One that was not repeated has no effect after `VALID_S`.
    """
    said = flight.policies
    spans: list[PolicySpan] = []
    for policy, t, until in zip(said['policy'], said['t'], [*said['t'][1:], inf], strict=False):
        end_s = min(until, t + VALID_S, flight.duration_s)
        if spans and spans[-1].policy == policy and spans[-1].end_s == t:
            spans[-1] = replace(spans[-1], end_s=end_s)
        else:
            spans.append(PolicySpan(str(policy), float(t), float(end_s)))
    return [replace(s, start_s=max(0.0, s.start_s)) for s in spans if s.end_s > 0.0]


def policy_counts(flight: Flight) -> list[tuple[str, float, int, int]]:
    """Return for each mission policy how long it held [s], frames that ended, paced ones of them.

    Last comes 'none' for the frames that ended while none held; empty without any policy.
    """
    spans, frames = policy_spans(flight), flight.frames
    if not spans:
        return []
    held = np.full(len(frames), 'none', dtype=object)
    for s in spans:
        held[(frames['t'] >= s.start_s) & (frames['t'] <= s.end_s)] = s.policy
    names = [n for n in dict.fromkeys([s.policy for s in spans] + ['none'])
             if n != 'none' or (held == n).any()]
    paced = frames['reason'] == DropReason.PACED
    return [(n, sum(s.end_s - s.start_s for s in spans if s.policy == n),
             int(np.sum(held == n)), int(np.sum((held == n) & paced))) for n in names]


def key_figures(flight: Flight) -> dict[str, float]:
    """Return the figures of a flight by name, units in the names; NaN if unknown."""
    frames, nan = flight.frames, float('nan')
    done = frames.where(has_result(frames))
    asked = frames['deadline'] > 0
    total_ms = done['total'] * 1e3
    power, energy, tally = flight.power, flight.summary.energy, flight.tally
    known_w = power['power'][np.isfinite(power['power'])] if len(power) else ()
    joules = (power['integrated_energy'][-1] - power['integrated_energy'][0]
              if len(power) > 1 else nan)
    return {
        'flight time [s]': energy.span_s,
        'captured': tally.captured, 'results': len(done),
        'remote': tally.remote, 'local': tally.local, 'dropped': tally.dropped,
        'of them lost between camera and node': tally.reasons[NOT_DELIVERED],
        'results a second [1/s]': len(done) / energy.span_s if energy.span_s else nan,
        'deadline met [%]': 100 * frames['deadline_met'][asked].mean() if asked.any() else nan,
        'latency p50 [ms]': np.percentile(total_ms, 50) if len(done) else nan,
        'latency p95 [ms]': np.percentile(total_ms, 95) if len(done) else nan,
        'sent a frame [bytes]': done['bytes'].mean() if len(done) else nan,
        'mean power [W]': float(np.mean(known_w)) if len(known_w) else nan,
        'energy over the bag [J]': joules,
        'energy per result, idle included [J]':
            nan if energy.per_result_j is None else energy.per_result_j,
        'metered share of the flight time [%]': 100 * energy.metered if len(power) else nan,
        'energy while a frame was under way [J]': _energy_of_a_frame(flight),
        'power that the stages do not explain [W]': _residual_w(flight),
        'energy of a server a frame [J]': _server_energy(flight),
        'labels right [%]': 100 * flight.summary.right / flight.summary.judged
        if flight.summary.judged else nan,
    }


def miss_counts(flight: Flight) -> Counter[str]:
    """Return how many frames missed their deadline for each reason."""
    return Counter(r for r in miss_reasons(flight.frames) if r)


def found(flight: Flight) -> dict[str, Any]:
    """Return for each kind of result how many there were, and of each label in how many it was.

    Of detections also the number of objects, of class maps the share of all pictures.
    """
    def amount(kind: str, x: float) -> dict[str, float]:
        return {'objects': round(x)} if kind == DETECTION else {
            'share' if kind == SEGMENTATION else 'mean score': x}
    return {kind: {'results': counts.results, 'labels': {
        row.label: {'results': row.results, **amount(kind, row.amount)}
        for row in counts.rows()}} for kind, counts in flight.summary.found.items()}
