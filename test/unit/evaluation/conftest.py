import pytest

from offload_perception.network.artefact import Artefact


@pytest.fixture(scope='session')
def artefact(small_artefact: Artefact) -> Artefact:
    return small_artefact
