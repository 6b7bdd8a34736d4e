"""When and where the messages of a bag are published again."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from offload_perception.errors import ConfigError
from offload_perception.recording.bag_reader import BagReader
from offload_perception.recording.message import BagMessage

LONGEST_WAIT_S = 3600.0  # at a time: a damaged time of a message may be centuries off


@dataclass(frozen=True)
class Selection:
    """Which topics are played, and under which name.

    `patterns` are regular expressions that a topic's name contains; none = every topic.
    """

    patterns: tuple[str, ...] = ()
    renames: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as e:
                raise ConfigError(f"topic '{pattern}' is no regular expression: {e}") from e

    def takes(self, topic: str) -> bool:
        """Return whether a topic is played."""
        return not self.patterns or any(re.search(p, topic) for p in self.patterns)

    def name_of(self, topic: str) -> str:
        """Return the name under which a topic is played."""
        return self.renames.get(topic, topic)


def parse_renames(words: Iterable[str]) -> dict[str, str]:
    """Return old and new names from words like `/drone1/image_raw:=/drone2/image_raw`.

    :raises ConfigError: for a word of another form.
    """
    pairs = [word.partition(':=') for word in words]
    for old, assigned, new in pairs:
        if not (assigned and old.startswith('/') and new.startswith('/')):
            raise ConfigError(f"'{old}{assigned}{new}' is not of the form /old:=/new")
    return {old: new for old, _, new in pairs}


def topics_of(reader: BagReader, selection: Selection) -> dict[str, BagMessage]:
    """Return the first message of every topic that is played."""
    found: dict[str, BagMessage] = {}
    for m in reader:
        if m.topic not in found and selection.takes(m.topic):
            found[m.topic] = m
    return found


class Timeline:
    """When the messages of a bag are due, and the current time of the bag.

    It starts with the first message.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        """Play at `rate` times the recorded speed; `clock` returns monotonic seconds."""
        self._rate, self._clock = rate, clock
        self._started: tuple[float, int] | None = None

    def due_in_s(self, time_ns: int) -> float:
        """Return how many seconds are left until a message is due, 0 if it is late."""
        if self._started is None:
            self._started = self._clock(), time_ns
        started_s, first_ns = self._started
        due_s = started_s + (time_ns - first_ns) * 1e-9 / self._rate
        return max(0.0, due_s - self._clock())

    @property
    def now_ns(self) -> int | None:
        """Return the time of the bag, in nanoseconds since the epoch; None before it begins."""
        if self._started is None:
            return None
        started_s, first_ns = self._started
        return first_ns + round((self._clock() - started_s) * self._rate * 1e9)


def play(messages: Iterable[BagMessage], timeline: Timeline,
         wait: Callable[[float], bool]) -> Iterator[BagMessage]:
    """Yield messages when they are due.

    :param wait: waits for that many seconds; True ends the playback.
    """
    for m in messages:
        left_s = LONGEST_WAIT_S
        while left_s >= LONGEST_WAIT_S:
            left_s = min(timeline.due_in_s(m.time_ns), LONGEST_WAIT_S)
            if wait(left_s):
                return
        yield m


def ticking(wait: Callable[[float], bool], tick: Callable[[], None], *, period_s: float,
            clock: Callable[[], float]) -> Callable[[float], bool]:
    """Return a `wait` that calls `tick` every `period_s` seconds while it is used."""
    next_s = -inf

    def waiting(seconds: float) -> bool:
        nonlocal next_s
        end_s = clock() + seconds
        while True:
            if clock() >= next_s:
                next_s = clock() + period_s
                tick()
            if wait(max(0.0, min(end_s, next_s) - clock())):
                return True
            if clock() >= end_s:
                return False
    return waiting
