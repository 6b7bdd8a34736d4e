import pytest
from hypothesis import settings

from offload_perception.planning import profile as profiles
from offload_perception.planning.shape import NetworkShape

# A busy machine is no failure: no example has a time limit.
settings.register_profile('unhurried', deadline=None, max_examples=50)
settings.load_profile('unhurried')


@pytest.fixture
def shape():
    return NetworkShape.preset('vgg16_112')


@pytest.fixture
def pi():
    return profiles.load('raspberry_pi_3b_plus')


@pytest.fixture
def coral():
    return profiles.load('raspberry_pi_3b_plus_coral')
