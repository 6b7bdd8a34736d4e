"""What became of each tensor of a load, and the figures that sum it up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, nan
from threading import Condition
from typing import Any, NamedTuple

import numpy as np

from offload_perception.frames import Status
from offload_perception.load_test.load_plan import Arrival

UNANSWERED = 'unanswered'


class Answer(NamedTuple):
    """What came back for a tensor: `latency_s` from sending to the answer, by one clock."""

    status: Status
    latency_s: float
    wait_s: float = nan
    expected_wait_s: float = nan
    batch: int = 0


@dataclass(frozen=True)
class Share:
    """What became of the tensors of one drone; `in_time` is a share of those sent, 0 .. 1."""

    sent: int
    answers: dict[str, int]
    in_time: float


@dataclass(frozen=True)
class LoadReport:
    """How a server coped: rates are over `seconds`, from the first tensor to the last answer.

    `throughput` are results a second, `goodput` those in time. `latency_s` are percentiles of
    results. `mean_wait_s` is the mean of the waits of results, `wait_error_s` the mean absolute
    error of what the server expected on arrival.
    """

    sent: int
    seconds: float
    throughput: float
    goodput: float
    in_time: float
    latency_s: dict[str, float]
    mean_wait_s: float
    wait_error_s: float
    mean_batch: float
    answers: dict[str, int]
    unanswered: int
    doubled: int
    drones: dict[str, Share]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; what was not measured is None."""
        return {k: None if isinstance(v, float) and not isfinite(v) else v
                for k, v in asdict(self).items()}

    def lines(self) -> list[str]:
        """Return the report in words."""
        ms = {name: f'{1e3 * s:.1f}' for name, s in self.latency_s.items()}
        worst = sorted(self.drones.items(), key=lambda d: d[1].in_time)[:8]
        return [
            f'{self.sent} tensors of {len(self.drones)} drones in {self.seconds:.1f} s: '
            f'{self.throughput:.1f} results/s, {self.goodput:.1f} in time, '
            f'{self.in_time:.1%} of the tensors in time',
            'latency [ms]: ' + ', '.join(f'{name} {value}' for name, value in ms.items()),
            f'wait: mean {1e3 * self.mean_wait_s:.1f} ms, expected on arrival with a mean error '
            f'of {1e3 * self.wait_error_s:.1f} ms; {self.mean_batch:.1f} tensors in a batch',
            'answers: ' + ', '.join(f'{n} {name}' for name, n in self.answers.items())
            + f'; {self.unanswered} unanswered, {self.doubled} answered twice',
            *(f'{drone}: {share.in_time:.1%} of {share.sent} in time' for drone, share in worst),
            *(['...'] if len(self.drones) > len(worst) else [])]


class Tally:
    """Collects the answers; may be used from several threads."""

    def __init__(self, arrivals: Sequence[Arrival], names: Sequence[str]) -> None:
        self._arrivals = {a.number: a for a in arrivals}
        self._names = names
        self._changed = Condition()
        self._answers: dict[int, Answer] = {}
        self._doubled = 0

    def add(self, number: int, answer: Answer) -> None:
        """Take an answer to the tensor of that number; one of no tensor is ignored."""
        with self._changed:
            if number in self._answers:
                self._doubled += 1
            elif number in self._arrivals:
                self._answers[number] = answer
                self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all are answered; return whether they are."""
        with self._changed:
            return self._changed.wait_for(
                lambda: len(self._answers) == len(self._arrivals), timeout_s)

    def report(self, seconds: float) -> LoadReport:
        """Sum up."""
        with self._changed:
            answers, doubled = dict(self._answers), self._doubled
        results = {n: a for n, a in answers.items() if a.status is Status.OK}
        in_time = {n for n, a in results.items() if self._in_time(n, a)}
        latency_s = np.array([a.latency_s for a in results.values()] or [nan])
        waits_s = np.array([a.wait_s for a in results.values()] or [nan])
        errors_s = np.array([abs(a.wait_s - a.expected_wait_s) for a in results.values()] or [nan])
        counts = Counter(a.status.name.lower() for a in answers.values())
        sent = len(self._arrivals)
        return LoadReport(
            sent, seconds, len(results) / seconds, len(in_time) / seconds,
            len(in_time) / max(sent, 1),
            {f'p{q}': float(np.percentile(latency_s, q)) for q in (50, 90, 99)},
            float(waits_s.mean()), float(errors_s.mean()),
            float(np.mean([float(a.batch) for a in results.values()] or [nan])), dict(counts),
            sent - len(answers), doubled, self._shares(answers, in_time))

    def _in_time(self, number: int, answer: Answer) -> bool:
        deadline_s = self._arrivals[number].deadline_s
        return not deadline_s or answer.latency_s <= deadline_s

    def _shares(self, answers: dict[int, Answer], in_time: set[int]) -> dict[str, Share]:
        of_drone: dict[int, list[int]] = {}
        for a in self._arrivals.values():
            of_drone.setdefault(a.drone, []).append(a.number)
        return {self._names[drone]: Share(
            len(numbers), dict(Counter(
                answers[n].status.name.lower() if n in answers else UNANSWERED for n in numbers)),
            sum(n in in_time for n in numbers) / len(numbers))
            for drone, numbers in sorted(of_drone.items())}
