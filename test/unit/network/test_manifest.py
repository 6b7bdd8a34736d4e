"""Manifests that nobody of us wrote are refused, whatever is wrong in them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.pipeline.pipeline_fakes import ARTEFACT

from offload_perception.errors import ModelError
from offload_perception.network.artefact import MANIFEST, Artefact

DIGEST = hashlib.sha256(b'model').hexdigest()


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """A model whose files are there; its manifest says so in plain JSON, without a digest."""
    folder = tmp_path_factory.mktemp('model')
    for name in ('model.tflite', 'pool', 'predictions'):
        (folder / name).write_bytes(b'model')
    return replace(ARTEFACT, path=folder, digest=DIGEST, layers=tuple(
        replace(layer, segment=layer.name, sha256=DIGEST) for layer in ARTEFACT.layers))


def load(model: Artefact, change: Callable[[dict[str, Any]], Any] = lambda m: None) -> Artefact:
    model.save_manifest()
    file = model.path / MANIFEST
    manifest = json.loads(file.read_text())
    del manifest['sha256']
    change(manifest)
    file.write_text(json.dumps(manifest))
    return Artefact.load(model.path)


def test_what_was_written_is_read(model: Artefact) -> None:
    assert load(model) == model


@pytest.mark.parametrize('change', [
    lambda m: m['pixels'].update(mean=[10**400] * 3, std=[1] * 3),
    lambda m: m['layers'][0].update(segment=5), lambda m: m['layers'][0].update(segment='a\0'),
    lambda m: m['layers'][0].update(segment='../../etc/passwd'),
    lambda m: m['layers'][0].update(segment='/etc/passwd'),
    lambda m: m['layers'][0].update(takes=[99]), lambda m: m['layers'][0].update(gives=[0]),
    lambda m: m['layers'][1].update(index=1),
    lambda m: m['layers'][0].update(name=None), lambda m: m['layers'][0].update(macs=-1),
    lambda m: m['layers'][0].update(gives=[True]), lambda m: m['layers'][0].update(stop=inf),
    lambda m: m.update(outputs=[]), lambda m: m.update(outputs=['2']),
    lambda m: m.update(trained=1), lambda m: m.update(labels=[3]), lambda m: m.update(digest=[]),
    lambda m: m.update(agreement='all'), lambda m: m.update(agreement=nan),
    lambda m: m['input'].update(number=7), lambda m: m['input'].update(shape=[4]),
    lambda m: m['tensors']['1'].update(dtype='object'), lambda m: m['tensors'].pop('1'),
    lambda m: m['tensors']['1'].update(shape=[-1]), lambda m: m['tensors']['1'].update(scale=nan),
    lambda m: m['tensors']['1'].update(shape='wide'),
    lambda m: m['tensors']['1'].update(zero_point=0.5), lambda m: m['meaning'].update(scores=1),
    lambda m: m['meaning'].update(boxes='a'),
    lambda m: m.update(teacher={'model': 5, 'digest': '', 'agreement': 0.5})])
def test_a_value_that_no_manifest_has_is_refused(model: Artefact,
                                                 change: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match='not a prepared model'):
        load(model, change)


@pytest.mark.parametrize('content', ['[' * 100_000, '[]', 'null', '{"format": 3}', '', '\0'])
def test_a_file_of_something_else_is_refused(model: Artefact, content: str) -> None:
    (model.path / MANIFEST).write_text(content)
    with pytest.raises(ModelError):
        Artefact.load(model.path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=2))


@given(st.data())
def test_any_value_in_any_place_gives_a_model_of_whole_cuts_or_is_refused(
        model: Artefact, data: st.DataObject) -> None:
    def change(manifest: dict[str, Any]) -> None:
        place: Any = manifest
        while True:
            key = data.draw(st.sampled_from([*range(len(place))] if isinstance(place, list)
                                            else sorted(place)))
            if not isinstance(place[key], dict | list) or not place[key] or data.draw(
                    st.booleans()):
                place[key] = data.draw(VALUES)
                return
            place = place[key]
    try:
        found = load(model, change)
    except ModelError:
        return
    for cut in range(found.last + 1):
        assert all(spec.nbytes >= 0 for spec in found.tensors(cut))
    assert found.classes is None or found.classes > 0
    assert isinstance(found.doubt, str)
