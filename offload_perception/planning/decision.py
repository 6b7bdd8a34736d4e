"""What the planner decided for a frame, and why."""

from dataclasses import dataclass
from math import inf, nan


@dataclass(frozen=True)
class Option:
    """One way to do a frame; `codec` and `server` are empty if all runs on board."""

    cut: int
    codec: str = ''
    server: str = ''

    @property
    def local(self) -> bool:
        """Return whether everything runs on board."""
        return not self.server

    def named(self, cut_names: tuple[str, ...]) -> str:
        """Return the option in words."""
        if self.local:
            return 'all on board'
        return f'{cut_names[self.cut]} {self.codec} to {self.server}'


@dataclass(frozen=True)
class Decision:
    """The choice for one frame, with its predictions.

    Spreads are standard deviations. `feasible` says whether the deadline is likely to be kept;
    `runnable` is False if not even a late result is possible, as with a network that does not fit
    on board and no server. `head_s` is how long the worker will
    be busy. `hedge_s` after its arrival the hedge starts: without a reply
    the frame is finished on board; infinite = never. `energy_j` includes its expected energy.
    `waited_s` had passed since the arrival when this was decided. `bandwidth` [byte/s],
    `round_trip_s` and `wait_s` are the estimates for the chosen server, NaN on board; `bandwidth`
    also if it is unknown.
    """

    option: Option
    latency_s: float
    latency_spread_s: float
    energy_j: float
    energy_spread_j: float
    deadline_s: float
    feasible: bool
    reason: str
    runner_up: Option | None = None
    runner_up_latency_s: float = nan
    runner_up_energy_j: float = nan
    runner_up_reason: str = ''
    candidates: int = 0
    head_s: float = 0.0
    runnable: bool = True
    hedge_s: float = inf
    waited_s: float = 0.0
    bandwidth: float = nan
    round_trip_s: float = nan
    wait_s: float = nan

    @property
    def cut(self) -> int:
        """Return the chosen cut."""
        return self.option.cut

    @property
    def codec(self) -> str:
        """Return the chosen codec; empty on board."""
        return self.option.codec

    @property
    def server(self) -> str:
        """Return the chosen server; empty on board."""
        return self.option.server
