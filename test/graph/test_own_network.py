"""Networks of one's own fly through the whole graph, cut in the middle.

What they say of the photographs is in the README of the folder that `unit.networks.REAL` names.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graph.command import FLYING, Command, adds_up, closing
from unit.networks import SIZE, real, seeded

from offload_perception.recording import BagReader

PHOTOGRAPHS = {'cat.bmp', 'bird.bmp', 'parrot.jpg'}


@pytest.fixture
def fly(run: Callable[..., Command], tmp_path: Path) -> Callable[..., dict[str, list[Any]]]:
    """Fly a network over pictures until there are results; return its messages by topic."""
    pytest.importorskip('mcap_ros2')
    patient = tmp_path / 'patient.yaml'  # the cores may be busy with other tests
    patient.write_text('/**/edge_inference:\n  ros__parameters:\n    reply_timeout: 60.0\n')

    def fly(model: Path, source: Path, *arguments: str) -> dict[str, list[Any]]:
        demo = run('demo', f'model:={model}', f'source:={source}', 'rate:=3',
                   'deadline:=0', 'runtime:=litert', 'threads:=1', 'record:=true',
                   'record_images:=true', f'bag:={tmp_path}/bag', f'params_file:={patient}',
                   *arguments)
        for _ in range(5):
            demo.said(FLYING, after=len(demo.lines))
        demo.interrupt()
        assert demo.wait() == 0, demo.output
        assert adds_up(demo.output)
        _, remote, local, *_ = closing(demo.output)
        assert remote > 0 == local, demo.output
        found: dict[str, list[Any]] = {}
        for message in BagReader(tmp_path / 'bag'):
            found.setdefault(message.topic.removeprefix('/drone1/'), []).append(message.decode())
        return found

    return fly


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Return a folder of the three photographs whose answers are known."""
    folder = tmp_path / 'photographs'
    folder.mkdir()
    for name in PHOTOGRAPHS:
        (folder / name).symlink_to(real(name))
    return folder


def test_a_classifier_is_right_after_a_cut_in_a_residual_block(
        fly: Callable[..., dict[str, list[Any]]], photographs: Path) -> None:
    found = fly(real('mobilenet_v2_1.0_224_quant.tflite'), photographs,
                f'labels:={real("imagenet_labels.txt")}', 'split:=expanded_conv_8/depthwise')
    assert {m.split for m in found['frame_latency'] if m.outcome == 0} == {30}
    best = {m.labels[0] for m in found['classification']}
    assert best == {'Egyptian cat', 'chickadee', 'macaw'}


def test_a_detector_gives_boxes_in_the_camera_image(
        fly: Callable[..., dict[str, list[Any]]], photographs: Path) -> None:
    found = fly(real('ssd_mobilenet_v1_coco_quant.tflite'), photographs, 'fit:=stretch',
                f'labels:={real("coco_labels.txt")}', 'split:=25', 'width:=512', 'height:=341')
    seen: dict[str, Any] = {}
    for message in found['detections']:
        for detection in message.detections:
            assert 0 <= detection.x_min < detection.x_max <= message.image_width
            assert 0 <= detection.y_min < detection.y_max <= message.image_height
            seen.setdefault(detection.label, (message, detection))
    assert {'cat', 'bird'} <= seen.keys()
    message, cat = seen['cat']
    box = (cat.y_min / message.image_height, cat.x_min / message.image_width,
           cat.y_max / message.image_height, cat.x_max / message.image_width)
    assert box == pytest.approx((0.13, 0.09, 0.98, 0.71), abs=0.02)
    assert cat.score == pytest.approx(0.72, abs=0.02)


def test_a_segmentation_gives_a_map_of_classes(
        fly: Callable[..., dict[str, list[Any]]], tmp_path: Path) -> None:
    (tmp_path / 'photographs').mkdir()
    picture = real('bird_segmentation.bmp')
    (tmp_path / 'photographs' / picture.name).symlink_to(picture)
    found = fly(real('deeplabv3_mnv2_dm05_pascal_quant.tflite'), tmp_path / 'photographs',
                f'labels:={real("pascal_voc_segmentation_labels.txt")}', 'split:=24')
    assert 'bird' in found['classification'][0].labels
    assert {(m.encoding, m.height, m.width) for m in found['class_map']} == {('mono8', 513, 513)}


def test_outputs_that_mean_nothing_known_are_given_as_they_are(
        fly: Callable[..., dict[str, list[Any]]], tmp_path: Path, photos: str) -> None:
    file = tmp_path / 'two_outputs.tflite'
    file.write_bytes(seeded('two_outputs'))
    found = fly(file, Path(photos), 'split:=1')
    shapes = [{tuple(part.shape) for part in m.parts} for m in found['outputs']]
    cells = 2 * ((SIZE // 4) ** 2 + (SIZE // 8) ** 2)
    assert shapes and all(shape == {(cells, 4), (cells, 3)} for shape in shapes)
    assert {m.kind for m in found['classification']} == {'tensors'}
