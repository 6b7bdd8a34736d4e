import pytest


@pytest.fixture(scope='session')
def artefact(small_artefact):
    return small_artefact
