"""Energy of single frames, and its direct measurement with a fast meter."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from offload_perception.errors import MeterError

TRAPEZOID = 'trapezoid'
REGRESSION = 'regression'


@dataclass(frozen=True)
class FrameEnergy:
    """Energy over one frame's window, of which `idle_j` would have been drawn anyway.

    `uncertainty_j` is the half width of a 95 % interval, infinite if nothing can be said.
    `stages_j` is what each stage cost beyond idle, if the method distinguishes stages.
    """

    energy_j: float
    idle_j: float
    uncertainty_j: float
    method: str
    stages_j: dict[str, float] = field(default_factory=dict)

    @property
    def active_j(self) -> float:
        """What the frame cost beyond idling."""
        return self.energy_j - self.idle_j


def integrate(
    times_s: np.ndarray, powers_w: np.ndarray, start_s: float, end_s: float, idle_w: float,
) -> FrameEnergy:
    """Integrate power samples over a frame's window by the trapezoidal rule.

    For meters with many samples per frame. `times_s` rises and reaches over the window, else
    `MeterError`. The uncertainty comes from comparison with the sum over every second sample: the
    error of the finer one is a third of the difference (Richardson).
    """
    if not _covered(times_s, start_s, end_s):
        raise MeterError(
            f'no power samples over the whole window {start_s:.3f} to {end_s:.3f} s: keep samples '
            'for longer, or ask for the frame later')
    inner_s = times_s[(times_s > start_s) & (times_s < end_s)]
    t_s = np.concatenate([[start_s], inner_s, [end_s]])
    p_w = np.interp(t_s, times_s, powers_w)
    half = np.union1d(np.arange(0, len(t_s), 2), [len(t_s) - 1])
    energy_j = _trapezoid(p_w, t_s)
    uncertainty_j = abs(energy_j - _trapezoid(p_w[half], t_s[half])) / 3
    return FrameEnergy(energy_j, idle_w * (end_s - start_s), uncertainty_j, TRAPEZOID)


def _covered(times_s: np.ndarray, start_s: float, end_s: float) -> bool:
    return (start_s <= end_s and len(times_s) > 1
            and times_s[0] <= start_s and times_s[-1] >= end_s)


def _trapezoid(values: np.ndarray, at: np.ndarray) -> float:
    """What numpy calls `trapz` or `trapezoid`, by version."""
    return float(np.sum(np.diff(at) * (values[1:] + values[:-1]) / 2))
