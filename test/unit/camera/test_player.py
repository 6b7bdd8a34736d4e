import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import numpy as np
import pytest

from offload_perception.camera import Source, player
from offload_perception.camera.player import Player
from offload_perception.camera.source import CameraImage
from offload_perception.errors import SourceEnded, SourceError

PATIENCE_S = 30.0
RGB = np.zeros((4, 4, 3), np.uint8)


class Scripted(Source):
    """Gives what the test puts into `gives`: pictures, errors; waits where it is empty."""

    live = True
    description = 'a scripted camera'

    def __init__(self, gives: Queue[Any]) -> None:
        super().__init__()
        self._gives, self.readers, self.closed = gives, 0, threading.Event()
        self.reading, self.closed_under_a_read, self.most_readers = threading.Event(), False, 0

    def _picture(self, index: int) -> tuple[np.ndarray, None]:
        self.readers += 1
        self.most_readers = max(self.most_readers, self.readers)
        self.reading.set()
        given = self._gives.get(timeout=PATIENCE_S)
        self.readers -= 1
        if isinstance(given, Exception):
            raise given
        return given, None

    def close(self) -> None:
        self.closed_under_a_read = self.closed_under_a_read or self.readers > 0
        self.closed.set()


class World:
    def __init__(self) -> None:
        self.gives, self.shown, self.said = Queue(), Queue(), []
        self.sources: list[Scripted] = []
        self.refusals: list[Exception] = []
        self.player = Player(self.open, self.shown.put, self.said.append)

    def open(self) -> Scripted:
        if self.refusals:
            raise self.refusals.pop()
        self.sources.append(Scripted(self.gives))
        return self.sources[-1]

    def see(self) -> CameraImage:
        return self.shown.get(timeout=PATIENCE_S)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(player, 'BACK_OFF_S', (0.001, 0.002))
    world = World()
    yield world
    world.gives.put(SourceError('the test is over'))
    world.player.stop(PATIENCE_S)
    world.player.close()


def test_frames_are_shown_until_it_is_stopped(world: World) -> None:
    world.player.start()
    for _ in range(3):
        world.gives.put(RGB)
        assert world.see().rgb is RGB
    world.gives.put(RGB)
    assert world.player.stop(PATIENCE_S)
    assert not world.player.busy and not world.sources[0].closed.is_set()


def test_no_second_reader_while_one_waits_and_nothing_is_closed_under_it(world: World) -> None:
    world.player.start()
    source = world.sources[0]
    assert source.reading.wait(PATIENCE_S)
    assert not world.player.stop(0.0)
    with pytest.raises(SourceError, match=r'still waits for a frame.*then try again'):
        world.player.start()
    world.player.close()
    assert not source.closed.is_set()
    world.gives.put(RGB)
    assert source.closed.wait(PATIENCE_S)
    assert not source.closed_under_a_read and source.most_readers == 1
    assert world.shown.empty()  # nobody takes frames of an activation that is over
    assert world.player.stop(PATIENCE_S) and not world.player.busy


def test_it_starts_again_after_a_read_that_came_back(world: World) -> None:
    world.player.start()
    world.sources[0].reading.wait(PATIENCE_S)
    world.player.stop(0.0)
    world.gives.put(RGB)
    assert world.player.stop(PATIENCE_S)
    world.player.start()
    world.gives.put(RGB)
    world.see()
    assert len(world.sources) == 1


def test_an_outage_is_reported_and_ends(world: World) -> None:
    world.player.start()
    world.refusals = [SourceError('still away'), SourceError('still away')]
    world.gives.put(SourceError('the cable is out'))
    world.gives.put(RGB)
    world.see()
    assert world.sources[0].closed.is_set() and len(world.sources) == 2
    assert world.player.problem == '' and world.player.reopened == 1
    assert [text.partition(';')[0] for text in world.said] == [
        'the cable is out', 'still away', 'showing a scripted camera again']


def test_any_error_of_a_source_is_an_outage(world: World) -> None:
    world.player.start()
    world.gives.put(ZeroDivisionError('in a driver'))
    world.gives.put(RGB)
    world.see()
    assert 'ZeroDivisionError: in a driver' in world.said[0]


def test_a_source_that_has_ended_is_let_rest_and_can_be_started_again(world: World) -> None:
    world.player.start()
    world.gives.put(SourceEnded('all was shown'))
    assert world.player._worker.stopping.is_set() is False
    world.player._worker._thread.join(PATIENCE_S)
    assert world.player.ended == 'all was shown' and not world.player.busy
    world.player.start()
    world.gives.put(RGB)
    world.see()
    assert world.player.ended == '' and len(world.sources) == 2


def test_pauses_grow_and_are_bounded() -> None:
    assert list(player.BACK_OFF_S) == sorted(player.BACK_OFF_S)
    assert player.BACK_OFF_S[-1] <= 10


def test_a_source_that_cannot_be_opened_at_first_is_an_error() -> None:
    def refuse() -> Source:
        raise SourceError('no such camera')

    with pytest.raises(SourceError, match='no such camera'):
        Player(refuse, print)
