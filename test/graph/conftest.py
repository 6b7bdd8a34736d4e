import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from graph.command import Command

from offload_perception.bringup.installed import executable
from offload_perception.network.artefact import Artefact
from offload_perception.profiles import device_profile

# With a sourced workspace `ros2 run` finds the executables, but they are not on the PATH.
if INSTALLED := executable('demo'):
    os.environ['PATH'] = os.pathsep.join([os.path.dirname(INSTALLED), os.environ['PATH']])
NODES = ('camera_node', 'edge_inference_node', 'remote_inference_node', 'um25c_node')
MISSING = [name for name in ('demo', *NODES) if shutil.which(name) is None]


@pytest.fixture
def run() -> Iterator[Callable[..., Command]]:
    """Start a command of the package; processes that it leaves are ended afterwards."""
    if MISSING:
        pytest.skip(f'not installed here: {", ".join(MISSING)}; source the workspace, or '
                    'use scripts/run.sh')
    pytest.importorskip('rclpy')
    started: list[Command] = []

    def start(*words: str, env: dict[str, str] | None = None) -> Command:
        started.append(Command(*words, env=env))
        return started[-1]
    yield start
    for command in started:
        command.end()


@pytest.fixture(scope='session')
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of small pictures: opened in no time."""
    folder = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for n in range(3):
        cv2.imwrite(str(folder / f'{n}.png'), rng.integers(0, 256, (240, 320, 3), np.uint8))
    return str(folder)


@pytest.fixture
def arguments(artefact: Artefact, photos: str) -> list[str]:
    """Return the demo's arguments for a quick start."""
    return [f'model:={artefact.path}', f'source:={photos}', 'runtime:=litert', 'threads:=1']


@pytest.fixture
def free_radio(tmp_path: Path) -> Path:
    """A Raspberry Pi whose radio takes no power: while the link works, sending is best."""
    pi = device_profile.load('raspberry_pi_3b_plus')
    file = tmp_path / 'pi.json'
    replace(pi, radio=replace(pi.radio, sending_w=0.0)).save(file)
    return file
