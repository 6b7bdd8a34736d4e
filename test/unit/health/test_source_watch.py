"""What diagnostics say of a source that a node plays."""

from types import SimpleNamespace
from typing import Any

import pytest

from offload_perception.health import Level
from offload_perception.health.source_watch import SourceWatch, in_words, source_values


@pytest.fixture
def player() -> Any:
    """A player at 10 Hz, with all that a watch reads of it."""
    source = SimpleNamespace(rate_hz=10.0, hangs='unplug it', left_out={}, skipped=2,
                             description='a film')
    return SimpleNamespace(source=source, ended='', problem='', reopened=1,
                           cadence=SimpleNamespace(missed=0))


def texts(watch: SourceWatch, now_s: float) -> dict[str, tuple[Level, str]]:
    return {f.name: (f.level, f.text) for f in watch.findings(now_s)}


def test_a_source_that_plays_is_well(player: Any) -> None:
    watch = SourceWatch(player, 'film.mp4', 0.0)
    for n in range(20):
        watch.observe(0.1 * n)
    assert texts(watch, 2.0) == {}


def test_a_camera_that_hangs_is_an_error_with_its_remedy_and_without_a_password(
        player: Any) -> None:
    watch = SourceWatch(player, 'rtsp://me:secret@camera/1', 0.0)
    for n in range(20):
        watch.observe(0.1 * n)
    level, text = texts(watch, 12.0)['frame']
    assert level == Level.ERROR and 'unplug it' in text and 'secret' not in text


def test_the_end_is_a_note_and_a_problem_an_error(player: Any) -> None:
    watch = SourceWatch(player, 'film.mp4', 0.0)
    player.problem = 'it is gone'
    assert texts(watch, 9.0) == {'source': (Level.ERROR, 'it is gone')}
    player.ended = 'it was shown to its end'
    assert texts(watch, 9.0) == {'source': (Level.OK, 'it was shown to its end')}


def test_a_slow_source_is_a_warning(player: Any) -> None:
    watch = SourceWatch(player, 'film.mp4', 0.0)
    for now_s in (1.0, 12.0):
        watch.observe(now_s)
        list(watch.findings(now_s))
    player.cadence.missed = 30
    level, text = texts(watch, 12.1)['rate']
    assert level == Level.WARN and text.startswith('7.0 of 10 frames a second come')
    player.cadence = None  # the source sets the pace
    assert 'rate' not in texts(watch, 12.2)


def test_the_first_files_that_are_left_out_are_named(player: Any) -> None:
    assert in_words({}) == ''
    assert in_words({'a.txt': 'no picture'}) == '1 file(s) left out: a.txt (no picture)'
    many = in_words({f'{n}.txt': 'no picture' for n in range(9)})
    assert many.startswith('9 file(s)') and many.endswith('4.txt (no picture) ...')
    player.source.left_out = {'a.txt': 'no picture'}
    assert texts(SourceWatch(player, 'here', 0.0), 0.0)['pictures'][0] == Level.OK


def test_values_of_a_player_and_of_none(player: Any) -> None:
    assert source_values(player, 'rtsp://me:secret@camera/1') == {
        'source': 'rtsp://camera/1', 'shows': 'a film', 'pictures skipped': 2,
        'outages over': 1}
    assert source_values(None, 'none')['shows'] == 'nothing, it is closed'
