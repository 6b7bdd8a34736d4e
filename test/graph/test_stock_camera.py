"""A camera driver with Fast DDS' own defaults, as every driver has them, and our edge node."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graph.command import Command

from offload_perception.bringup.dds import PROFILE_VARIABLES
from offload_perception.network.artefact import Artefact

CAMERA = str(Path(__file__).with_name('stock_camera.py'))


@pytest.fixture
def captured(run: Callable[..., Command], artefact: Artefact) -> Any:
    """Return how many of 30 images from a stock camera the edge node counted in."""
    def fly(rate: int, width: int, height: int, *options: str) -> tuple[int, int, str]:
        edge = run('edge_inference_node', '--ros-args', '-r', '__ns:=/drone1',
                   '-p', f'model:={artefact.path}', '-p', 'split:=-1', '-p', 'runtime:=litert')
        camera = run(sys.executable, CAMERA, '--rate', str(rate), '--width', str(width),
                     '--height', str(height), *options,
                     env=dict.fromkeys(PROFILE_VARIABLES, ''))
        assert camera.wait() == 0
        edge.interrupt()
        assert edge.wait() == 0
        counts = re.search(r'published (\d+) captured (\d+)', camera.output)
        assert counts, camera.output
        return int(counts[1]), int(counts[2]), edge.output
    return fly


@pytest.mark.parametrize(('rate', 'width', 'height', 'least'), [
    (5, 640, 480, 30), (30, 640, 480, 8), (5, 1920, 1080, 8), (30, 1920, 1080, 1)])
def test_large_images_of_a_reliable_stock_publisher_arrive(captured: Any, rate: float, width: int,
                                                           height: int, least: Any) -> None:
    published, arrived, log = captured(rate, width, height)
    assert 'listening to /drone1/image_raw, reliable' in log and published == 30
    assert arrived >= least  # what a busy computer carries too; of 1080p at 30 Hz hardly any does


def test_a_best_effort_stock_publisher_is_followed_and_its_losses_are_explained(
        captured: Any) -> None:
    _, arrived, log = captured(5, 320, 240, '--best-effort')
    assert 'listening to /drone1/image_raw, best effort' in log
    assert arrived > 0
