import pytest


@pytest.fixture(scope='session')
def artefact(tiny_artefact):
    return tiny_artefact
