"""How much each drone sends, and what the middleware overwrote before it was taken."""

from collections import Counter, OrderedDict
from threading import Lock

MAX_SENDERS = 256
_STREAMS = 4  # publishers of one name that are distinguished
_LONGEST_GAP = 1000  # a longer one is another publisher


class Senders:
    """Counts tensors by their drone; may be used from several threads.

    A publisher numbers its messages, so that a gap in the numbers is a loss. Several publishers of
    one name each have their own numbers.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._newest: OrderedDict[str, list[int]] = OrderedDict()  # numbers, of each publisher
        self._sent: Counter[str] = Counter()
        self._lost = 0

    def count(self, drone: str, number: int) -> None:
        """Count a message of `drone` with its publisher's `number`."""
        with self._lock:
            newest = self._newest.pop(drone, [])
            self._newest[drone] = newest
            missing = _follow(newest, number)
            self._lost += missing
            self._sent[drone] += 1 + missing
            while len(self._newest) > MAX_SENDERS:
                del self._sent[self._newest.popitem(last=False)[0]]

    @property
    def lost(self) -> int:
        """Return how many messages were overwritten so far."""
        with self._lock:
            return self._lost

    @property
    def sent(self) -> Counter[str]:
        """Return how many messages each drone sent so far, lost ones included."""
        with self._lock:
            return self._sent.copy()


def _follow(newest: list[int], number: int) -> int:
    """Replace the number that `number` follows; return how many between them are missing."""
    before = max((n for n in newest if n < number), default=number)
    missing = number - before - 1
    if 0 <= missing <= _LONGEST_GAP:
        newest.remove(before)
        newest.append(number)
        return missing
    if number not in newest:
        newest.append(number)
        del newest[:-_STREAMS]
    return 0
