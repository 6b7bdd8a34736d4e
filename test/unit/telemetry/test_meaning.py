import json
from pathlib import Path

import pytest

import offload_perception
from offload_perception.telemetry.meaning import caveat, run_caveats

BUNDLED = json.loads((Path(offload_perception.__file__).parent
                      / 'weights/aerial/manifest.json').read_text())['weights']
ON_PHOTOGRAPHS = ('labels mean nothing on photographs: the network was trained on generated '
                  'terrain')


@pytest.mark.parametrize('source', ['photos', 'photos+terrain', 'terrain:3 + photos', 'pan:a.jpg',
                                    '/dev/video0', 'rtsp://camera/terrain', 'terrain.mp4', ''])
def test_the_bundled_network_means_nothing_on_photographs(source: str) -> None:
    assert caveat(True, BUNDLED, source) == ON_PHOTOGRAPHS


@pytest.mark.parametrize('source', ['terrain', 'terrain:7', 'terrain+terrain:2'])
def test_it_means_something_on_what_it_was_trained_on(source: str) -> None:
    assert caveat(True, BUNDLED, source) == ''


def test_a_network_of_photographs_means_nothing_on_terrain() -> None:
    assert caveat(True, 'imagenet', 'photos') == ''
    assert caveat(True, 'imagenet', 'photos+terrain').startswith(
        'labels mean nothing on generated terrain')


def test_nothing_is_said_of_a_network_whose_training_is_not_known() -> None:
    assert caveat(True, '/home/me/own.keras', 'photos+terrain') == ''


def test_an_untrained_network_means_nothing_anywhere() -> None:
    assert caveat(False, 'seed:0', 'terrain').startswith('UNTRAINED')


@pytest.mark.parametrize(('edge', 'camera'), [
    ({}, {'source': 'photos'}), ({'source': 'photos'}, {})])
def test_the_source_is_that_of_the_node_that_plays_it(edge: dict[str, str],
                                                      camera: dict[str, str]) -> None:
    assert run_caveats(True, {'weights': BUNDLED, **edge}, camera) == [ON_PHOTOGRAPHS]
