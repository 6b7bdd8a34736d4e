"""What all tests share. The environment is set here, before anything imports rclpy."""

import os

import pytest
from hypothesis import settings

from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import BUNDLED, prepare

# A domain of its own keeps two test runs on one machine, and child processes, to themselves.
os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 101)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'

# A busy machine is no failure: no example has a time limit.
settings.register_profile('offload_perception', deadline=None)
settings.load_profile('offload_perception')


@pytest.fixture(scope='session')
def artefact() -> Artefact:
    """The small network: with the bundled weights, or untrained where there are none."""
    weights = 'bundled' if (BUNDLED / 'aerial').is_dir() else 'seed:0'
    return prepare('aerial', weights)
