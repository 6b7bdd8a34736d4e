"""What a bag of several drones says of all of them: a row for each, their sum, the servers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from offload_perception.frames import Outcome
from offload_perception.report import analysis
from offload_perception.report.recorded_flight import Flight
from offload_perception.telemetry.drone_names import in_order
from offload_perception.telemetry.summary import sum_line

DRONE_HEAD = ['drone', 'captured', 'remote', 'local', 'dropped', 'under way', 'deadline met [%]',
              'latency p50 [ms]', 'latency p95 [ms]', 'J a result', 'results a second',
              'mostly dropped for']
SERVER_HEAD = ['server', 'drones', 'results', 'busy', 'late', 'failed', 'time busy [%]',
               'expected wait [ms]', 'longest [ms]', 'mean batch']
SERVED_HEAD = ['server', 'drone', 'share of its time [%]', 'completed', 'busy', 'late', 'failed']
_SERVED_ROWS = 64


def fleets(flights: Sequence[Flight]) -> list[list[Flight]]:
    """Return the flights of each bag that has several drones."""
    bags = dict.fromkeys(f.bag for f in flights)
    found = [[f for f in flights if f.bag == bag] for bag in bags]
    return [fleet for fleet in found if len({f.namespace for f in fleet}) > 1]


def line(fleet: Sequence[Flight]) -> str:
    """Return the outcomes of all frames of a fleet."""
    return sum_line([f.tally for f in fleet])


def totals(fleet: Sequence[Flight]) -> dict[str, float]:
    """Return the key figures of a fleet by name, units in the names; NaN if unknown."""
    tallies = [f.tally for f in fleet]
    sums = {part: sum(getattr(t, part) for t in tallies)
            for part in ('captured', 'remote', 'local', 'dropped', 'under_way')}
    asked = np.concatenate([f.frames['deadline_met'][f.frames['deadline'] > 0] for f in fleet])
    done = np.concatenate([f.frames['total'][analysis.has_result(f.frames)] for f in fleet])
    energies = [f.summary.energy for f in fleet]
    metered = sum(e.results for e in energies if e.metered_s)
    joules = sum(e.joules for e in energies if e.metered_s)
    first_s, last_s = (edge([edge(f.frames['t']) for f in fleet]) for edge in (min, max))
    nan = float('nan')
    return {'drones': len(fleet), **sums,
            'deadline met [%]': 100 * float(asked.mean()) if len(asked) else nan,
            'latency p50 [ms]': float(np.percentile(done, 50)) * 1e3 if len(done) else nan,
            'latency p95 [ms]': float(np.percentile(done, 95)) * 1e3 if len(done) else nan,
            'energy per result, idle included [J]': joules / metered if metered else nan,
            'results a second [1/s]': len(done) / (last_s - first_s) if last_s > first_s else nan}


def drone_rows(fleet: Sequence[Flight]) -> list[list[Any]]:
    """Return a row for each drone, and their sum; the counts of each row add up."""
    rows = []
    for f in fleet:
        t, figures = f.tally, analysis.key_figures(f)
        reason, n = next(iter(t.reasons.most_common(1)), ('', 0))
        rows.append([f.namespace, t.captured, t.remote, t.local, t.dropped, t.under_way,
                     *_figures(figures), f'{reason} ({n})' if n else ''])
    all_of = totals(fleet)
    return [*rows, ['all', *(int(all_of[part]) for part in (
        'captured', 'remote', 'local', 'dropped', 'under_way')), *_figures(all_of), '']]


def _figures(figures: dict[str, float]) -> list[str]:
    return [_said(figures[name], digits) for name, digits in (
        ('deadline met [%]', 1), ('latency p50 [ms]', 1), ('latency p95 [ms]', 1),
        ('energy per result, idle included [J]', 3), ('results a second [1/s]', 1))]


def _said(value: float, digits: int) -> str:
    return f'{value:.{digits}f}' if np.isfinite(value) else 'unknown'


def server_rows(fleet: Sequence[Flight]) -> list[list[Any]]:
    """Return a row for each server: the drones' results from it, and what it reports of itself.

    What it refused is counted over the recording, also for drones that are not in the bag.
    """
    status = fleet[0].servers
    reported = {str(name): status.where(status['server'] == name)
                for name in np.unique(status['server'])} if len(status) else {}
    remote = [f.frames['server'][f.frames['outcome'] == Outcome.REMOTE] for f in fleet]
    names = in_order({*reported, *(str(name) for servers in remote for name in servers)})
    return [[name, sum(bool((servers == name).any()) for servers in remote),
             sum(int((servers == name).sum()) for servers in remote),
             *_reported(reported.get(name)), _mean_batch(fleet[0].batches.get(name, ()))]
            for name in names]


def _reported(rows: Any) -> list[str]:
    if rows is None:
        return ['unknown'] * 6
    grown = [str(int(np.maximum(np.diff(rows[name].astype(float)), 0.0).sum()))
             for name in ('busy', 'late', 'failed')]
    wait_ms = rows['expected_wait'] * 1e3
    return [*grown, _said(100 * float(rows['utilisation'].mean()), 1),
            _said(float(wait_ms.mean()), 1), _said(float(wait_ms.max()), 1)]


def _mean_batch(batches: Sequence[int]) -> str:
    """Return the mean number of tensors computed together, since the server was activated."""
    n = sum(batches)
    return _said(sum(k * count for k, count in enumerate(batches, 1)) / n, 2) if n else 'unknown'


def served_rows(fleet: Sequence[Flight]) -> list[list[Any]]:
    """Return what each server did for each drone by its own counts, the most served first."""
    rows = [[server, d.drone, _said(100 * d.share, 1), d.completed, d.busy, d.late, d.failed]
            for server, m in fleet[0].served.items() for d in m.drones]
    return sorted(rows, key=lambda row: -row[3])[:_SERVED_ROWS]
