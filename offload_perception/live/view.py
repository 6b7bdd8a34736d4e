"""The parts of what a viewer shows, each from what was heard; see `LiveState.snapshot`."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.flight.policy import VALID_S
from offload_perception.live.plain import text
from offload_perception.pipeline.records import Outcome
from offload_perception.runtime.select import NO_EDGE_TPU
from offload_perception.telemetry.layers import cut_names
from offload_perception.telemetry.records import STAGES
from offload_perception.telemetry.summary import Summary

if TYPE_CHECKING:
    from offload_perception.live.state import Health, Heard, LiveState

SILENT_S = 5.0  # nodes publish their diagnostics once a second
_LEVELS = {0: 'ok', 1: 'warning', 2: 'error'}
_ORDER = ('error', 'silent', 'warning', 'ok')
_TOP = 3


def has_result(m: Any) -> bool:
    """Tell whether a FrameLatency ended with a result."""
    return m.outcome != Outcome.DROPPED


def counts(summary: Summary) -> dict[str, Any]:
    """Return where the frames went since watching began: captured is the sum of the others."""
    t = summary.tally()
    return {'captured': t.captured, 'remote': t.remote, 'local': t.local, 'dropped': t.dropped,
            'under_way': t.under_way, 'reasons': dict(t.reasons.most_common())}


def policy(heard: 'Heard', now: float) -> str:
    """Return which mission policy holds, and why; the frames that it holds back are `paced`."""
    if now - heard.at_s > VALID_S:
        return f'none, the last was said {now - heard.at_s:.0f} s ago'
    m = heard.message
    terms = [f'an image every {m.min_period:g} s'] if m.min_period else []
    if m.deadline_scale != 1:
        terms.append(f'deadline times {m.deadline_scale:g}')
    return '; '.join((f'{m.policy}: {m.reason}', *terms))


def network(state: 'LiveState', frame: Any) -> dict[str, Any]:
    """Return where each layer ran for a frame.

    A frame that was sent, got no reply and was finished on board counts as all on board.
    """
    models = {h.message.model for h in state.servers.values() if h}
    names = cut_names(state.cuts, models)[1:]
    local = frame.outcome == Outcome.LOCAL
    on_board = len(names) if local else frame.split
    decision = state.decision.message if state.decision else None
    return {
        'layers': [{'name': name, 'on': 'drone' if k <= on_board else 'server'}
                   for k, name in enumerate(names, 1)],
        'split': frame.split, 'split_name': frame.split_name, 'local': local,
        'codec': frame.codec, 'bytes': frame.bytes, 'server': frame.server,
        'head': _runs_on(frame.runtime, frame.device),
        'tail': '' if local else _runs_on(frame.server_runtime, frame.server_device),
        'reason': decision.reason if decision else ''}


def _runs_on(runtime: str, device: str) -> str:
    return f'{runtime} on {device}' if runtime else ''


def latency(frames: Sequence[Any], last: Any, seconds: float) -> dict[str, Any] | None:
    """Return where the time of the frames went, of the `last` one where there are none.

    The means of the stages and of the `rest` add up to the mean of the total.

    :param seconds: over which the frames ended.
    """
    done = [m for m in frames if has_result(m)]
    shown = done or ([last] if last is not None else [])
    if not shown:
        return None
    took = np.nan_to_num([[getattr(m, s) for s in STAGES] for m in shown]).mean(axis=0)
    totals = np.array([m.total for m in shown])
    limited = [m for m in frames if m.deadline > 0]
    p50, p95 = np.percentile(totals, (50, 95))
    return {'stages': dict(zip(STAGES, took.tolist(), strict=True)),
            'rest': max(0.0, float(totals.mean() - took.sum())), 'mean': float(totals.mean()),
            'p50': float(p50), 'p95': float(p95), 'slowest': float(totals.max()),
            'deadline': shown[-1].deadline or None,
            'with_deadline': len(limited), 'met': sum(m.deadline_met for m in limited),
            'per_second': len(done) / seconds, 'dropped_per_second':
                (len(frames) - len(done)) / seconds}


def power(state: 'LiveState', now: float) -> dict[str, Any] | None:
    """Return what the meter says, and the energy of a frame."""
    if state.power is None:
        return None
    m, energy = state.power.message, state.energy.message if state.energy else None
    return {'power': m.power, 'voltage': m.voltage, 'current': m.current,
            'emulated': m.emulated, 'source': m.source, 'age_s': now - state.power.at_s,
            'per_result': state.summary.energy_per_result_j,
            'frame': None if energy is None else {
                'energy': energy.energy, 'above_idle': energy.energy - energy.idle_energy,
                'uncertainty': energy.uncertainty, 'method': energy.method}}


def link(state: 'LiveState', frames: Sequence[Any], seconds: float) -> dict[str, Any]:
    """Return what the link carries, and what the planner takes it for (None: it does not plan)."""
    sent = [m for m in frames if m.bytes]
    times = [m.link for m in sent if isfinite(m.link)]
    d = state.decision.message if state.decision else None
    return {'sent_per_second': sum(m.bytes for m in sent) / seconds,
            'bytes_per_frame': sum(m.bytes for m in sent) / len(sent) if sent else None,
            'time': float(np.median(times)) if times else None,
            'bandwidth': d.bandwidth if d else nan, 'round_trip': d.round_trip if d else nan}


def server(name: str, heard: 'Heard | None', now: float) -> dict[str, Any]:
    """Return a server and its load; `age_s` None: nothing was heard of it."""
    if heard is None:
        return {'name': name, 'age_s': None}
    m = heard.message
    return {'name': name, 'age_s': now - heard.at_s, 'model': m.model,
            'runs_on': _runs_on(m.runtime, m.device), 'utilisation': m.utilisation,
            'queue': m.queue_length, 'expected_wait': m.expected_wait,
            'arrival_rate': m.arrival_rate, 'completed': m.completed,
            'turned_away': m.refused + m.busy + m.late + m.failed}


def health(nodes: 'Mapping[str, Health]', now: float) -> list[dict[str, Any]]:
    """Return the nodes by their diagnostics, the worst first; a node that fell silent says so."""
    found = [{'name': name, 'level': _level(h, now), 'message': h.message,
              'age_s': now - h.at_s} for name, h in nodes.items()]
    return sorted(found, key=lambda h: (_ORDER.index(h['level']), h['name']))


def complaints(nodes: 'Mapping[str, Health]', now: float) -> list[str]:
    """Return in a line each what the nodes complain of, the worst first; at most three.

    That device `auto` found no Edge TPU is none: the lines on where frames ran tell as much.
    """
    said = [(h['level'], h['name'], _but_for_the_edge_tpu(nodes[h['name']]))
            for h in health(nodes, now) if h['level'] != 'ok']
    return [text(f'diagnostics: {level}, {name}: {words}') for level, name, words in said
            if words][:3]


def _but_for_the_edge_tpu(h: 'Health') -> str:
    device = h.values.get('device', '')
    if not device.startswith(NO_EDGE_TPU):
        return h.message
    return h.message.replace(device, '').replace('; ; ', '; ').strip('; ')


def _level(h: 'Health', now: float) -> str:
    level = _LEVELS.get(h.level, 'silent')
    return 'silent' if level != 'error' and now - h.at_s > SILENT_S else level


def result(state: 'LiveState', now: float) -> dict[str, Any] | None:
    """Return the newest result and how many were right, where the truth is known."""
    if not state.labels:
        return None
    newest = next(reversed(state.labels.values()))
    return {**labels(newest.message), 'age_s': now - newest.at_s,
            'right': state.summary.right, 'judged': state.summary.judged}


def labels(m: Any) -> dict[str, Any]:
    """Return the best labels of a Classification, and whether they mean anything."""
    best = zip(m.labels[:_TOP], m.scores[:_TOP], strict=False)
    return {'labels': [{'label': label, 'score': float(score)} for label, score in best],
            'trained': m.trained, 'where': m.where}
