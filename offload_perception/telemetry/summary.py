"""Adds up the telemetry of one drone: a live line each second and a closing line at the end."""

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from offload_perception.frames import Outcome
from offload_perception.network.output_meaning import CLASSIFICATION
from offload_perception.telemetry.energy import FrameEnergy, FrameEnergyCounter
from offload_perception.telemetry.found import Found, LabelCounts, in_words

NOT_DELIVERED = 'lost between camera and node'
LOST_WITH_NODE = 'lost when the node was killed'
_REBOOT_S = 60.0  # no thread of a drone publishes an end so late
_PENDING_LABELS = 512
_RECENT = 2048  # frames; many seconds of them, and bounded if no lines are printed


@dataclass(frozen=True)
class FrameRecord:
    """What the summary needs of one FrameLatency; durations in seconds.

    `at_s` is when it came, on the same clock as that of PowerRecord; `end_s` when it ended, on
    that of the drone's computer. `sequence` and the counters start again with each activation of
    the node. `emulated` names the computer that the layers on board were paced as, empty = none.
    """

    at_s: float
    outcome: Outcome
    reason: str
    split_name: str
    where: str
    total_s: float
    has_deadline: bool
    deadline_met: bool
    captured: int
    remote: int
    local: int
    dropped: int
    sequence: int
    end_s: float
    emulated: str = ''

    @property
    def ended(self) -> int:
        """Return how many frames had ended by the drone's own count."""
        return self.remote + self.local + self.dropped

    def is_of_later_activation(self, other: 'FrameRecord') -> bool:
        """Return whether the node was activated again between the other frame and this one.

        Its threads may publish ends out of order, but later frames have larger numbers; and the
        clock starts again if the computer does.
        """
        began_later = self.end_s - self.total_s > other.end_s - other.total_s
        return ((began_later and self.sequence <= other.sequence)
                or self.end_s < other.end_s - _REBOOT_S)


@dataclass(frozen=True)
class PowerRecord:
    """What the summary needs of one PowerSample; `at_s` is when it came."""

    at_s: float
    power_w: float
    energy_j: float
    emulated: bool


@dataclass(frozen=True)
class LabelRecord:
    """A label with the stamp (ns) of its image."""

    stamp_ns: int
    label: str


@dataclass(frozen=True)
class ResultRecord:
    """What a network of a kind found in the image of a stamp (ns).

    `trained` False: it means nothing.
    """

    stamp_ns: int
    kind: str
    found: tuple[Found, ...]
    trained: bool = True

    @property
    def words(self) -> str:
        """Return the best class, or what else was found, in words."""
        shown = self.found[:1] if self.kind == CLASSIFICATION else self.found
        return in_words(self.kind, shown) + ('' if self.trained else ' (untrained)')


@dataclass(frozen=True)
class Tally:
    """The outcomes of the frames: captured = remote + local + dropped + under_way."""

    captured: int
    remote: int
    local: int
    under_way: int
    reasons: Counter[str]  # of the dropped

    @property
    def dropped(self) -> int:
        """Return how many frames have no result."""
        return self.reasons.total()


class Summary:
    """Collects records, in the order in which they came."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.reasons: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self._deadline_met = self._with_deadline = 0
        self._last: FrameRecord | None = None
        self._earlier: Counter[Outcome] = Counter()  # by the drone's count, of past activations
        self._lost_with_node = 0
        self._recent: deque[FrameRecord] = deque(maxlen=_RECENT)
        self._power: PowerRecord | None = None
        self._energy = FrameEnergyCounter()
        self._result: ResultRecord | None = None
        self.found: dict[str, LabelCounts] = {}  # by the kind of results
        self._truths: OrderedDict[int, str] = OrderedDict()
        self._guesses: OrderedDict[int, str] = OrderedDict()
        self.right = self.judged = 0
        self.emulated = ''  # the computer that any frame names as emulated

    # -- records in -------------------------------------------------------------------------

    def add_frame(self, r: FrameRecord) -> None:
        """Count a frame's end."""
        if self._last is not None and r.is_of_later_activation(self._last):
            self._lost_with_node += self.under_way
            self._earlier = self._own_count()
            self._last = None
        if self._last is None or r.ended > self._last.ended:
            self._last = r  # two threads of the drone may publish out of order
        self._recent.append(r)
        self.emulated = r.emulated or self.emulated
        self._energy.add_frame(r.at_s, r.total_s, r.outcome is not Outcome.DROPPED)
        self.outcomes[r.outcome] += 1
        if r.outcome is Outcome.DROPPED:
            self.reasons[r.reason] += 1
        else:
            self.places[r.where] += 1
        if r.has_deadline:
            self._with_deadline += 1
            self._deadline_met += r.deadline_met

    def add_power(self, r: PowerRecord) -> None:
        """Note a power sample."""
        self._power = r
        if isfinite(r.power_w):  # else nothing was metered, as of a battery on its charger
            self._energy.add_power(r.at_s, r.energy_j)

    def add_result(self, r: ResultRecord) -> None:
        """Note a result, and judge its class if the truth is known."""
        self._result = r
        self.found.setdefault(r.kind, LabelCounts(r.kind)).add(r.found)
        if r.kind == CLASSIFICATION and r.found:
            self._judge(self._guesses, LabelRecord(r.stamp_ns, r.found[0].label), self._truths)

    def add_truth(self, r: LabelRecord) -> None:
        """Note the true class of an image (generated images only)."""
        self._judge(self._truths, r, self._guesses)

    def _judge(self, own: OrderedDict[int, str], r: LabelRecord,
               other: OrderedDict[int, str]) -> None:
        """Pair a guess with its truth by the image's stamp, whichever comes first."""
        counterpart = other.pop(r.stamp_ns, None)
        if counterpart is None:
            own[r.stamp_ns] = r.label
            while len(own) > _PENDING_LABELS:
                own.popitem(last=False)
        else:
            self.judged += 1
            self.right += counterpart == r.label

    # -- figures out ------------------------------------------------------------------------

    @property
    def results(self) -> int:
        """Return the number of frames with a result."""
        return self.outcomes[Outcome.REMOTE] + self.outcomes[Outcome.LOCAL]

    @property
    def ended(self) -> int:
        """Return the number of frames that ended, either way."""
        return self.outcomes.total()

    @property
    def under_way(self) -> int:
        """Return how many frames are in progress on the drone."""
        return self._last.captured - self._last.ended if self._last else 0

    def tally(self, published: int | None = None) -> Tally:
        """Return the outcomes of the frames seen.

        :param published: how many images the camera published; None = unknown, then the frames
            that reached the drone's node are what was captured.
        """
        reasons = self.reasons.copy()
        if self._lost_with_node:
            reasons[LOST_WITH_NODE] = self._lost_with_node
        reached = self.ended + self._lost_with_node + self.under_way
        captured = max(published or 0, reached)
        if captured > reached:
            reasons[NOT_DELIVERED] = captured - reached
        return Tally(captured, self.outcomes[Outcome.REMOTE], self.outcomes[Outcome.LOCAL],
                     self.under_way, reasons)

    @property
    def deadline_share(self) -> float | None:
        """Return the share of the frames with a deadline that met it; None if there are none."""
        return self._deadline_met / self._with_deadline if self._with_deadline else None

    @property
    def energy(self) -> FrameEnergy:
        """Return the energy of the frames, and how much of their time was metered."""
        return self._energy.energy

    # -- lines out --------------------------------------------------------------------------

    def live_line(self, period_s: float) -> str:
        """Return the line for what came since the last call, `period_s` seconds ago.

        A viewer that has just come gets frames from before, too; they are not in the line.
        """
        came = [self._recent.popleft() for _ in range(len(self._recent))]
        newest_s = max((r.end_s for r in came), default=0.0)
        recent = [r for r in came if r.end_s > newest_s - period_s]
        done = [r.total_s for r in recent if r.outcome is not Outcome.DROPPED]
        parts = [f'{len(done) / period_s:5.1f} fps']
        if recent:
            parts.append(f'split {recent[-1].split_name or "-"}')
        if done:
            p50, p95 = np.percentile(done, (50, 95)) * 1e3
            parts.append(f'latency p50 {p50:.1f} p95 {p95:.1f} ms')
        if len(done) < len(recent):
            parts.append(f'dropped {len(recent) - len(done)} '
                         f'({_tally(Counter(r.reason for r in recent if r.reason))})')
        if self._power and isfinite(self._power.power_w):
            emulated = ' (emulated)' if self._power.emulated else ''
            parts.append(f'{self._power.power_w:.2f} W{emulated}')
        if self._result:
            parts.append(self._result.words)
        if self.judged:
            parts.append(f'right {self.right}/{self.judged}')
        return ' | '.join(parts)

    def closing_lines(self, published: int | None = None,
                      caveats: Iterable[str] = ()) -> list[str]:
        """Return the lines that close a run.

        :param published: as for `tally`.
        :param caveats: what is not real, or means nothing; see `meaning.run_caveats`.
        """
        t = self.tally(published)
        lines = [
            f'frames: captured {t.captured} = remote {t.remote} + local {t.local} + dropped '
            f'{t.dropped}' + (f' ({_tally(t.reasons)})' if t.reasons else '')
            + (f' + under way {t.under_way}' if t.under_way else '')]
        lines += self._deadline_line() + self._energy_line()
        lines += [f'ran on: {place}, {n} frames' for place, n in self.places.most_common()]
        if self.emulated:
            lines.append(f'EMULATED computer: layers on board were paced as on {self.emulated}')
        if self.judged:
            lines.append(f'labels: {self.right} of {self.judged} frames with a known truth '
                         f'({self.right / self.judged:.1%}) right')
        lines += filter(None, (counts.line() for counts in self.found.values()))
        return [*lines, *caveats]

    def _deadline_line(self) -> list[str]:
        if (share := self.deadline_share) is None:
            return []
        return [f'deadline met: {share:.1%} of {self._with_deadline} frames']

    def _energy_line(self) -> list[str]:
        energy = self.energy
        if (joules := energy.per_result_j) is None:
            return []
        meter = 'EMULATED meter, ' if self._power and self._power.emulated else ''
        return [f'energy: {joules:.3f} J per frame with a result, idle power included '
                f'({meter}metered {percent(energy.metered)} of the time)']

    def adds_up(self) -> bool:
        """Return whether the drone's own counters agree with the frames that were seen ending."""
        return self._own_count() == self.outcomes

    def _own_count(self) -> Counter[Outcome]:
        """Return the outcomes by the drone's own counters."""
        if (last := self._last) is None:
            return self._earlier
        return self._earlier + Counter({Outcome.REMOTE: last.remote, Outcome.LOCAL: last.local,
                                        Outcome.DROPPED: last.dropped})


def sum_line(tallies: Collection[Tally]) -> str:
    """Return the outcomes of the frames of several drones, added up."""
    captured, remote, local, dropped, under_way = (
        sum(getattr(t, part) for t in tallies)
        for part in ('captured', 'remote', 'local', 'dropped', 'under_way'))
    return (f'all {len(tallies)} drones: captured {captured} = remote {remote} + local {local} + '
            f'dropped {dropped}' + (f' + under way {under_way}' if under_way else ''))


def percent(share: float) -> str:
    """Return a share in whole percent; less than all is never shown as 100 %."""
    return f'{min(round(100 * share), 99 if share < 1 else 100)} %'


def _tally(reasons: Counter[str]) -> str:
    items: Iterable[tuple[str, int]] = reasons.most_common()
    return ', '.join(f'{reason} {n}' for reason, n in items)
