import pytest

from offload_perception.network.artefact import Artefact


@pytest.fixture(scope='session')
def artefact(tiny_artefact: Artefact) -> Artefact:
    return tiny_artefact
