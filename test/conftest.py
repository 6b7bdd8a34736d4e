"""What all tests share. The environment is set here, before anything imports rclpy."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import BUNDLED, prepare

_DOMAINS = 101  # of Linux' default ephemeral ports those of higher numbers are in use


def _take_domain() -> int:
    """Return a ROS domain that no other test process on this machine has."""
    for offset in range(_DOMAINS):
        domain = 1 + (os.getpid() + offset) % _DOMAINS
        name = f'offload_perception_{os.getuid()}_domain_{domain}.lock'
        lock = os.open(Path(tempfile.gettempdir(), name), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with this process
        except OSError:
            os.close(lock)
        else:
            return domain
    raise RuntimeError(f'{_DOMAINS} test processes run already')


# A domain of its own keeps each test process, and its children, to themselves.
os.environ['ROS_DOMAIN_ID'] = str(_take_domain())
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'

# A busy machine is no failure: no example has a time limit.
settings.register_profile('offload_perception', deadline=None)
settings.load_profile('offload_perception')


@pytest.fixture(scope='session')
def artefact() -> Artefact:
    """The small network: with the bundled weights, or untrained if there are none."""
    weights = 'bundled' if (BUNDLED / 'aerial').is_dir() else 'seed:0'
    return prepare('aerial', weights)
