"""The bundled models know the terrain of flights that they were not trained on."""

import numpy as np
import pytest

from offload_perception.codec.calibration import Calibration
from offload_perception.codec.measure import measure
from offload_perception.planning.sizes import load_costs
from offload_perception.preparation.agreement import classify
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve
from offload_perception.terrain.crops import flight_crops
from offload_perception.terrain.painters import CLASSES
from offload_perception.terrain.tiles import tiles

pytest.importorskip('ai_edge_litert')


def test_labels_are_the_classes() -> None:
    assert prepare('aerial').labels == CLASSES and prepare('aerial').trained


def test_most_frames_of_a_flight_are_labelled_right() -> None:
    images, labels = flight_crops('test', 50, range(2))
    model = prepare('aerial')
    scores, = model.tensors(model.last)
    found = classify(model.model_file, model.pixels.spec, scores, images)
    assert np.mean(found == labels) >= 0.85


def test_the_bundled_bottleneck_belongs_to_the_bundled_model() -> None:
    split, teacher = prepare('aerial_split'), prepare('aerial')
    assert split.teacher is not None
    assert (split.teacher.model, split.teacher.digest) == ('aerial', teacher.digest)
    assert split.labels == teacher.labels
    assert split.bottleneck is not None
    head = sum(layer.macs for layer in split.layers[:split.bottleneck])
    assert head <= 0.15 * sum(layer.macs for layer in teacher.layers)


def test_the_bundled_bottleneck_keeps_what_its_costs_say() -> None:
    """On tiles that the training never saw: few bytes, nearly the teacher's top-1."""
    split = prepare('aerial_split')
    assert split.bottleneck is not None
    images, labels = tiles('test', 200, seed=77)
    row, = measure(Chain(split, resolve('cpu')), {split.bottleneck: ['latent:45']}, images, labels,
                   Calibration.load(split))
    stored, = (r for r in load_costs(split.path)
               if (r.cut, r.codec) == (row.cut, row.codec))
    assert row.accuracy is not None and row.accuracy >= 0.9
    assert row.bytes < 1.5 * stored.bytes < 70
    assert stored.agreement >= 0.95
