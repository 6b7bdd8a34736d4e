from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.recording.definitions import NOTE, note

from offload_perception.errors import ConfigError
from offload_perception.recording import BagReader, BagWriter
from offload_perception.recording.playback import (
    Selection,
    Timeline,
    parse_renames,
    play,
    ticking,
    topics_of,
)


@pytest.fixture
def reader(tmp_path: Path) -> BagReader:
    """Notes at 0, 1, 2, 3 s on two topics in turn."""
    with BagWriter(tmp_path / 'flight') as bag:
        bag.add_topic('/a', NOTE, [])
        bag.add_topic('/b/c', NOTE, [])
        for n in range(4):
            bag.write(('/a', '/b/c')[n % 2], note(n), 10**18 + n * 10**9)
    return BagReader(tmp_path / 'flight')


class Clock:
    """Time that passes only by waiting."""

    def __init__(self, stop_after: int = 100) -> None:
        self.now_s, self.waits, self._stop_after = 50.0, [], stop_after

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_s += seconds
        return len(self.waits) > self._stop_after


@pytest.mark.parametrize('rate', [1.0, 4.0, 0.5])
def test_messages_come_when_they_came(reader: BagReader, rate: float) -> None:
    clock = Clock()
    times = [(m.decode().number, clock() - 50.0)
             for m in play(reader, Timeline(rate, clock), clock.wait)]
    assert [n for n, _ in times] == [0, 1, 2, 3]
    assert [t for _, t in times] == pytest.approx([n / rate for n in range(4)])


def test_a_slow_subscriber_does_not_stretch_the_rest(reader: BagReader) -> None:
    clock = Clock()
    for m in play(reader, Timeline(1.0, clock), clock.wait):
        clock.now_s += 1.5 if m.decode().number == 0 else 0.0
    assert clock.waits == pytest.approx([0.0, 0.0, 0.5, 1.0])


def test_stop_ends_the_playing_at_once(reader: BagReader) -> None:
    clock = Clock(stop_after=2)
    assert len(list(play(reader, Timeline(1.0, clock), clock.wait))) == 2


def test_the_time_of_the_bag_is_reported_while_it_plays(reader: BagReader) -> None:
    clock, told = Clock(), []
    timeline = Timeline(2.0, clock)

    def tell() -> None:
        assert timeline.now_ns is not None
        told.append(timeline.now_ns - 10**18)

    wait = ticking(clock.wait, tell, period_s=0.25, clock=clock)
    assert len(list(play(reader, timeline, wait))) == 4
    assert told == [n * 5 * 10**8 for n in range(6)]  # twice as fast: every half second of it


def test_a_message_of_another_century_is_waited_for_in_pieces(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'far') as bag:
        bag.add_topic('/a', NOTE, [])
        bag.write('/a', note(0), 0)
        bag.write('/a', note(1), 2**63 - 1)
    clock = Clock(stop_after=5)
    assert len(list(play(BagReader(tmp_path / 'far'), Timeline(1.0, clock), clock.wait))) == 1
    assert max(clock.waits) <= 3600.0


def test_topics_are_chosen_and_renamed(reader: BagReader) -> None:
    selection = Selection(('^/b',), parse_renames(['/b/c:=/d']))
    assert set(topics_of(reader, selection)) == {'/b/c'}
    assert selection.name_of('/b/c') == '/d' and selection.name_of('/a') == '/a'
    assert set(topics_of(reader, Selection())) == {'/a', '/b/c'}


@pytest.mark.parametrize(('make', 'text'), [
    (lambda: Selection(('[',)), r"topic '\[' is no regular expression"),
    (lambda: parse_renames(['/a=/b']), r"'/a=/b' is not of the form /old:=/new"),
    (lambda: parse_renames(['a:=/b']), 'form'),
])
def test_bad_words_are_refused(make: Callable[..., Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()
