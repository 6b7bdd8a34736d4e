"""How long tails and replies take on this server, as measured."""

from collections.abc import Iterable
from itertools import pairwise
from math import isfinite, nan

from offload_perception.network.batch_sizes import batch_sizes

_WEIGHT = 0.2  # of a new time in its running mean
_OUTLIER = 1.5  # times the mean, a longer one counts as this: a stall must not turn others away


class TailTimes:
    """Running means of the parts of a tail's time.

    Each tensor is decoded and brought to the `join` by itself; from there the layers run for up
    to `most` tensors at once. A tensor that was cut after the join enters at its cut.

    :ivar join: cut from which the layers run together; the last one if none do.
    :ivar most: tensors that run together at most.
    :ivar sizes: the sizes of batches to choose from.
    :ivar reply_s: time of answering one tensor [s].
    """

    def __init__(self, *, cuts: int, join: int, most: int) -> None:
        self.join, self.most = join, most if join < cuts else 1
        self._alone_s = [nan] * cuts
        self._together_s: dict[int, dict[int, float]] = {}  # by first cut, then by tensors
        self._tables: dict[int, tuple[float, ...]] = {}  # of all numbers of tensors, by first cut
        self.sizes = batch_sizes(self.most)
        self.reply_s = 0.0

    def observe_alone(self, cut: int, seconds: float) -> None:
        """Take the time of decoding a tensor and bringing it to the join [s]."""
        self._alone_s[cut] = _mean(self._alone_s[cut], seconds)

    def observe_together(self, first: int, tensors: int, seconds: float) -> None:
        """Take the time of the layers after cut `first` for several tensors [s]."""
        times = self._together_s.setdefault(first, {})
        times[tensors] = _mean(times.get(tensors, nan), seconds)
        self._tables.clear()

    def observe_reply(self, seconds: float) -> None:
        """Take the time of answering one tensor [s]."""
        self.reply_s = _mean(self.reply_s or nan, seconds)

    def known(self, cut: int) -> bool:
        """Return whether a tensor of this cut was measured."""
        return isfinite(self._alone_s[cut])

    def alone_s(self, cut: int) -> float:
        """Return the time until a tensor is at the join [s]; that of others if not measured."""
        own = self._alone_s[cut]
        if isfinite(own):
            return own
        others = [s for s in self._alone_s if isfinite(s)]
        return sum(others) / len(others) if others else 0.0

    def together_s(self, first: int) -> tuple[float, ...]:
        """Return the time of the layers after cut `first` for 0, 1 .. `most` tensors [s].

        Between measured numbers of tensors it is interpolated, outside it is proportional. A cut
        that was not measured takes as long as the one before it, which has more layers.
        """
        if first not in self._tables:
            times = self._together_s.get(first) or self._before(first) or {1: 0.0}
            self._tables[first] = _between(times, self.most)
        return self._tables[first]

    def batch_s(self, cuts: Iterable[int]) -> float:
        """Return the time of tensors of these cuts together [s]."""
        cuts = tuple(cuts)
        return (sum(map(self.alone_s, cuts)) + self.together_s(self.first(cuts))[len(cuts)]
                if cuts else 0.0)

    def first(self, cuts: Iterable[int]) -> int:
        """Return the cut after which tensors of these cuts begin to run together."""
        return max(self.join, min(cuts))

    def _before(self, first: int) -> dict[int, float]:
        measured = [cut for cut in self._together_s if cut <= first]
        return self._together_s[max(measured)] if measured else {}


def _between(times: dict[int, float], most: int) -> tuple[float, ...]:
    """Return the times of 0, 1 .. `most`; in Python, since numpy takes longer for so few."""
    sizes = sorted(times)
    table = [times[sizes[0]] * n / sizes[0] for n in range(sizes[0] + 1)]
    for low, high in pairwise(sizes):
        slope = (times[high] - times[low]) / (high - low)
        table += [times[low] + slope * (n - low) for n in range(low + 1, high + 1)]
    table += [times[sizes[-1]] * n / sizes[-1] for n in range(sizes[-1] + 1, most + 1)]
    return tuple(table[:most + 1])


def _mean(old: float, new: float) -> float:
    return old + _WEIGHT * (min(new, _OUTLIER * old) - old) if isfinite(old) else new
