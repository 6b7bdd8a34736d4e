"""When and where the messages of a bag are published again."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from offload_perception.errors import ConfigError
from offload_perception.recording.reader import BagMessage, BagReader


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
        """Tell whether a topic is played."""
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


def play(messages: Iterable[BagMessage], *, rate: float, clock: Callable[[], float],
         wait: Callable[[float], bool]) -> Iterator[BagMessage]:
    """Yield messages when they are due, `rate` times as fast as they were recorded.

    :param clock: returns seconds that never jump.
    :param wait: waits so many seconds; True ends the playing.
    """
    started_s = first_ns = None
    for m in messages:
        if started_s is None:
            started_s, first_ns = clock(), m.time_ns
        due_s = started_s + (m.time_ns - first_ns) * 1e-9 / rate
        if wait(max(0.0, due_s - clock())):
            return
        yield m
