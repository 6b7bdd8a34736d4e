"""Records for a Summary from telemetry messages, of a topic or of a bag."""

from dataclasses import fields
from typing import Any

from offload_perception.frames import Outcome, Stages
from offload_perception.telemetry.found import found_in, kind_of
from offload_perception.telemetry.summary import (
    FrameRecord,
    LabelRecord,
    PowerRecord,
    ResultRecord,
)

STAGES = tuple(f.name for f in fields(Stages) if f.name != 'total')
"""Names of the stages of a FrameLatency, in the order in which a frame passes them."""

PARAMETER = 'parameter '
"""Prefix of the parameters in a node's set-up."""


EMULATED = 'emulated '
"""Prefix of the name of an emulated device."""


def frame_record(m: Any, at_s: float) -> FrameRecord:
    """Return the record of a FrameLatency that arrived at `at_s`."""
    return FrameRecord(
        at_s=at_s, outcome=Outcome(m.outcome), reason=m.reason, split_name=m.split_name,
        where=_where(m),
        total_s=m.total, has_deadline=m.deadline > 0, deadline_met=m.deadline_met,
        captured=m.captured, remote=m.remote, local=m.local, dropped=m.dropped,
        sequence=m.sequence, end_s=getattr(m, 'end', at_s),  # older bags have none
        emulated=m.device.partition(EMULATED)[2])


def _where(m: Any) -> str:
    """Return in words which runtime and device ran which part of a frame."""
    head = f'{m.runtime} on {m.device}' if m.runtime else 'none'
    if m.outcome == Outcome.LOCAL:
        return f'all on board: {head}'
    return f'head {head}, tail {m.server_runtime} on {m.server_device} at {m.server}'


def power_record(m: Any, at_s: float) -> PowerRecord:
    """Return the record of a PowerSample that arrived at `at_s`."""
    return PowerRecord(at_s, m.power, m.integrated_energy, m.emulated)


def result_record(m: Any) -> ResultRecord:
    """Return the record of a Classification, which may be of any kind."""
    return ResultRecord(stamp_ns(m.header), kind_of(m), found_in(m), m.trained)


def truth_record(m: Any) -> LabelRecord | None:
    """Return the record of an image's true Classification, None if it has none."""
    return LabelRecord(stamp_ns(m.header), m.labels[0]) if m.labels else None


def stamp_ns(header: Any) -> int:
    """Return a header's stamp in nanoseconds."""
    return int(header.stamp.sec * 1_000_000_000 + header.stamp.nanosec)
