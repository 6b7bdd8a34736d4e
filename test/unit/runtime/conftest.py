import pytest
from unit.runtime.tiny_model import build_artefact

from offload_perception.network.artefact import Artefact


@pytest.fixture(scope='session')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """A network whose weights have 7 bits, on which every runtime can be exact."""
    return build_artefact(tmp_path_factory.mktemp('tiny'))


@pytest.fixture(scope='session')
def tiny8(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """A network whose weights use all 8 bits."""
    return build_artefact(tmp_path_factory.mktemp('tiny8'), weight_bits=8)
