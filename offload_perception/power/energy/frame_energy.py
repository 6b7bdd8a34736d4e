"""Energy of single frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan

TRAPEZOID = 'trapezoid'
REGRESSION = 'regression'


@dataclass(frozen=True)
class FrameEnergy:
    """Energy over one frame's window, of which `idle_j` would have been drawn anyway.

    `uncertainty_j` is the half width of a 95 % interval, infinite if nothing can be said.
    `stages_j` is what each stage cost beyond idle, if the method distinguishes stages.
    `residual_w` is the root mean square of what the stages' powers leave unexplained.
    """

    energy_j: float
    idle_j: float
    uncertainty_j: float
    method: str
    stages_j: dict[str, float] = field(default_factory=dict)
    residual_w: float = nan

    @property
    def active_j(self) -> float:
        """What the frame cost beyond idling."""
        return self.energy_j - self.idle_j
