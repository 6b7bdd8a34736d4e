"""Head and tail on different computers fit together: each computes what every machine does."""

import json

import pytest
from unit.runtime.golden_cuts import FILE, MODELS, cuts, fitted

from offload_perception.preparation.prepare import prepare

pytest.importorskip('ai_edge_litert')
GOLDEN = json.loads(FILE.read_text())


@pytest.mark.parametrize('model', MODELS)
def test_the_bundled_network_gives_the_same_at_every_cut(model: str) -> None:
    assert list(GOLDEN[model]) == list(prepare(model).cut_names[1:])
    assert cuts(model) == GOLDEN[model]


def test_a_picture_is_fitted_alike() -> None:
    assert dict(fitted()) == GOLDEN['fitted']
