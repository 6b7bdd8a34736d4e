"""The parts of what a viewer shows, each from the messages; see `LiveState.snapshot`."""

from collections.abc import Sequence
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.flight.policy import VALID_S
from offload_perception.frames import Outcome
from offload_perception.live import warnings
from offload_perception.live.warnings import NO_FRAME_S, SILENT_S, lost_servers
from offload_perception.network.output_meaning import CLASSIFICATION, SEGMENTATION
from offload_perception.telemetry import meaning
from offload_perception.telemetry.colours import colour
from offload_perception.telemetry.cut_names import cut_names
from offload_perception.telemetry.found import found_in, in_words, kind_of
from offload_perception.telemetry.records import STAGES
from offload_perception.telemetry.summary import Summary

if TYPE_CHECKING:
    from offload_perception.live.state import LiveState, Received

_TOP, _TOP_COUNTED = 3, 8
_BOXES = 100  # that are drawn
_SERVED = 64  # drones of a server that are listed


def has_result(m: Any) -> bool:
    """Return whether a FrameLatency ended with a result."""
    return bool(m.outcome != Outcome.DROPPED)


def counts(summary: Summary) -> dict[str, Any]:
    """Return the outcomes of frames since watching began: captured is the sum of the others."""
    t = summary.tally()
    return {'captured': t.captured, 'remote': t.remote, 'local': t.local, 'dropped': t.dropped,
            'under_way': t.under_way, 'reasons': dict(t.reasons.most_common())}


def policy(received: 'Received', now: float) -> str:
    """Return which mission policy holds, and why; the frames that it holds back are `paced`."""
    if now - received.at_s > VALID_S:
        return f'none, the last one came {now - received.at_s:.0f} s ago'
    m = received.message
    terms = [f'an image every {m.min_period:g} s'] if m.min_period else []
    if m.deadline_scale != 1:
        terms.append(f'deadline times {m.deadline_scale:g}')
    return '; '.join((f'{m.policy}: {m.reason}', *terms))


def network(state: 'LiveState', frame: Any, now: float) -> dict[str, Any]:
    """Return where each layer ran for a frame.

    A frame that was sent, got no reply and was finished by its hedge counts as all on board.
    """
    models = {h.message.model for h in state.servers.values() if h}
    names = cut_names(state.cuts, models)[1:]
    local = frame.outcome == Outcome.LOCAL
    on_board = len(names) if local else frame.split
    decision = state.decision.message if state.decision else None
    lost = ', '.join(f'{name} is lost' for name in lost_servers(state, now))
    return {
        'layers': [{'name': name, 'on': 'drone' if k <= on_board else 'server'}
                   for k, name in enumerate(names, 1)],
        'split': frame.split, 'split_name': frame.split_name, 'local': local,
        'codec': frame.codec, 'bytes': frame.bytes, 'server': frame.server,
        'head': _runs_on(frame.runtime, frame.device),
        'tail': '' if local else _runs_on(frame.server_runtime, frame.server_device),
        'reason': '; '.join(filter(None, (lost, decision.reason if decision else '')))}


def _runs_on(runtime: str, device: str) -> str:
    return f'{runtime} on {device}' if runtime else ''


def latency(frames: Sequence[Any], last: Any, seconds: float) -> dict[str, Any] | None:
    """Return the mean time of each stage, of the `last` frame if there are none.

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
    """Return the meter's reading, and the energy of a frame."""
    if state.power is None:
        return None
    m, energy = state.power.message, state.energy.message if state.energy else None
    spent = state.summary.energy
    return {'power': m.power, 'voltage': m.voltage, 'current': m.current,
            'emulated': m.emulated, 'source': m.source, 'age_s': now - state.power.at_s,
            'silent': now - state.power.at_s > NO_FRAME_S,
            'per_result': spent.per_result_j, 'metered': spent.metered,
            'frame': None if energy is None else {
                'energy': energy.energy, 'above_idle': energy.energy - energy.idle_energy,
                'uncertainty': energy.uncertainty, 'method': energy.method,
                'residual': energy.residual_w}}


def link(state: 'LiveState', frames: Sequence[Any], seconds: float) -> dict[str, Any]:
    """Return the load of the link, and the planner's estimate of it (None: it does not plan)."""
    sent = [m for m in frames if m.bytes]
    times = [m.link for m in sent if isfinite(m.link)]
    d = state.decision.message if state.decision else None
    return {'sent_per_second': sum(m.bytes for m in sent) / seconds,
            'bytes_per_frame': sum(m.bytes for m in sent) / len(sent) if sent else None,
            'time': float(np.median(times)) if times else None,
            'bandwidth': d.bandwidth if d else nan, 'round_trip': d.round_trip if d else nan}


def server(name: str, received: 'Received | None', now: float, *, used: bool) -> dict[str, Any]:
    """Return a server and its load; `age_s` None: no message has arrived."""
    if received is None:
        return {'name': name, 'age_s': None, 'used': used}
    m = received.message
    return {'name': name, 'age_s': now - received.at_s, 'model': m.model,
            'runs_on': _runs_on(m.runtime, m.device), 'utilisation': m.utilisation,
            'queue': m.queue_length, 'expected_wait': m.expected_wait,
            'arrival_rate': m.arrival_rate, 'completed': m.completed,
            'rejected': m.refused + m.busy + m.late + m.failed,
            'power': m.power, 'frame_energy': m.frame_energy, 'meter': m.power_source,
            'silent': now - received.at_s > SILENT_S, 'used': used}


def row(state: 'LiveState', frames: Sequence[Any], seconds: float, now: float) -> dict[str, Any]:
    """Return the drone in a line of a table: figures of the recent `frames`, None = unknown."""
    found, last = latency(frames, None, seconds) or {}, state.last_result
    dropped = next((h for h in reversed(state.frames) if not has_result(h.message)), None)
    limited = [m for m in frames if m.deadline > 0]
    findings = warnings.items({name: h for name, h in state.health.items()
                               if name.startswith(f'{state.drone.rstrip("/")}/')}, now)
    return {
        'name': state.drone, 'state': warnings.pill(state, now), 'warnings': len(findings),
        'per_second': found.get('per_second', 0.0), 'mean': found.get('mean'),
        'deadline': found.get('deadline'), 'with_deadline': len(limited),
        'met': sum(m.deadline_met for m in limited),
        'per_result': state.summary.energy.per_result_j,
        'emulated': bool(state.power and state.power.message.emulated),
        'where': where(last) if last else '', 'server': place(last) if last else '',
        'dropped': dropped.message.reason if dropped else '',
        'dropped_age_s': now - dropped.at_s if dropped else None,
        'frame_age_s': now - state.frames[-1].at_s if state.frames else None}


def where(frame: Any) -> str:
    """Return in words where a frame was cut, and how it was sent."""
    return 'all on board' if frame.outcome == Outcome.LOCAL else (
        f'{frame.split_name} {frame.codec}'.strip())


def place(frame: Any) -> str:
    """Return the server that finished a frame; empty if it was finished on board."""
    return '' if frame.outcome == Outcome.LOCAL else str(frame.server)


def server_row(name: str, received: 'Received | None', served: Any, drones: int,
               now: float) -> dict[str, Any]:
    """Return a server in a line of a table, with what it does for each drone.

    :param served: its newest ServedDrones, None if it publishes none.
    :param drones: how many drones' results came from it lately, as seen without `served`.
    """
    row = server(name, received, now, used=True)
    if received is None:
        return row | {'drones': drones}
    m = received.message
    counted = [d for d in served.drones if d.share or d.queue_length] if served else None
    return row | {
        'drones': drones if counted is None else len(counted),
        'served': [{'drone': d.drone, 'share': d.share, 'queue': d.queue_length,
                    'completed': d.completed} for d in (counted or [])[:_SERVED]],
        'busy': m.busy, 'late': m.late, 'failed': m.failed, 'refused': m.refused,
        'batch': m.batch, 'mean_batch': mean_batch(m.batches)}


def mean_batch(batches: Sequence[int]) -> float | None:
    """Return the mean number of tensors computed together; None if none was."""
    n = sum(batches)
    return sum(k * count for k, count in enumerate(batches, 1)) / n if n else None


def about(state: 'LiveState') -> dict[str, str]:
    """Return what flies: model, weights and source; empty if unknown."""
    edge, camera = state.values('edge_inference'), state.values('camera')
    return {'model': edge.get('model', ''), 'weights': edge.get('weights', ''),
            'source': meaning.player_of(edge, camera).get('shows', '')}


def run_caveats(state: 'LiveState') -> list[str]:
    """Return what the labels of this flight do not mean."""
    newest = next(reversed(state.labels.values()), None)
    return meaning.run_caveats(newest.message['trained'] if newest else None,
                               state.values('edge_inference'), state.values('camera'))


def caveats(state: 'LiveState') -> list[str]:
    """Return what is not real, or means nothing, in this flight; a property of the run."""
    found = run_caveats(state)
    if state.power and state.power.message.emulated:
        found.append('EMULATED meter: its power is modelled, not measured')
    if emulated := state.values('edge_inference').get('emulates') or state.summary.emulated:
        found.append(f'EMULATED computer: layers on board are paced as on {emulated}')
    return found


def recording(state: 'LiveState', now: float) -> dict[str, Any] | None:
    """Return whether the telemetry is being recorded; None if there is no recorder.

    That of a fleet is in no drone's namespace.
    """
    recorder = state.node('recorder') or next(
        (h for name, h in state.health.items() if name.endswith('/recorder')), None)
    if recorder is None:
        return None
    on = 'bag' in recorder.values and now - recorder.at_s <= SILENT_S
    return {'on': on, 'bag': recorder.values.get('bag', ''),
            'messages': recorder.values.get('messages', '')}


def result(state: 'LiveState', now: float) -> dict[str, Any] | None:
    """Return the newest result and how many were right, if the truth is known."""
    if not state.labels:
        return None
    newest = next(reversed(state.labels.values()))
    return {**newest.message, 'age_s': now - newest.at_s,
            'right': state.summary.right, 'judged': state.summary.judged}


def labels(m: Any) -> dict[str, Any]:
    """Return the labels of a Classification, and whether they mean anything.

    Each has its score or its share; those of detections come once, with a count.
    """
    kind, rows = kind_of(m), found_in(m)
    most = _TOP if kind == CLASSIFICATION else _TOP_COUNTED
    return {'kind': kind, 'words': in_words(kind, rows, _TOP), 'trained': m.trained,
            'where': m.where, 'more': max(0, len(rows) - most),
            'labels': [{'label': row.label, 'score': row.score, 'count': row.count,
                        'colour': 'transparent' if kind == SEGMENTATION and not row.id
                        else colour(row.id)} for row in rows[:most]]}


def boxes(m: Any) -> dict[str, Any]:
    """Return the boxes of the best Detections, in shares of the image, and how many are left out.

    What lies outside of the image is cut off.
    """
    width, height = m.image_width, m.image_height
    found = []
    for d in m.detections[:_BOXES]:
        x0, x1 = (min(x, width) / width for x in (d.x_min, d.x_max))
        y0, y1 = (min(y, height) / height for y in (d.y_min, d.y_max))
        if x0 < x1 and y0 < y1:
            found.append({'label': d.label, 'score': float(d.score), 'colour': colour(d.id),
                          'box': [x0, y0, x1, y1]})
    return {'boxes': found, 'boxes_left_out': max(0, len(m.detections) - _BOXES)}
