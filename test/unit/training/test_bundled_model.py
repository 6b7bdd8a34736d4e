"""The bundled model knows the terrain of flights that it was not trained on."""

import numpy as np
import pytest

from offload_perception.preparation.agreement import classify
from offload_perception.preparation.prepare import prepare
from offload_perception.terrain.crops import flight_crops
from offload_perception.terrain.painters import CLASSES

pytest.importorskip('ai_edge_litert')


def test_labels_are_the_classes() -> None:
    assert prepare('aerial').labels == CLASSES and prepare('aerial').trained


def test_most_frames_of_a_flight_are_labelled_right() -> None:
    images, labels = flight_crops('test', 50, range(2))
    model = prepare('aerial')
    scores, = model.tensors(model.last)
    found = classify(model.model_file, model.pixels.spec, scores, images)
    assert np.mean(found == labels) >= 0.85
