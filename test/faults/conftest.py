from collections.abc import Callable
from pathlib import Path

import pytest
from faults.flight import Flight
from graph.command import Command
from graph.conftest import free_radio, photos, run

from offload_perception.network.artefact import Artefact

__all__ = ['free_radio', 'photos', 'run']


@pytest.fixture
def flight(run: Callable[..., Command], artefact: Artefact, tmp_path: Path) -> Flight:
    """A flight whose nodes are still to be started."""
    pytest.importorskip('mcap_ros2')
    return Flight(run, artefact.path, tmp_path)
