"""Messages that have taken a node out of service, as their rules see them."""

from math import inf, nan
from types import SimpleNamespace
from typing import Any

import pytest

from offload_perception.errors import IncomingError
from offload_perception.telemetry.rules import checked


@pytest.mark.parametrize('kind, field, value', [
    ('MissionPolicy', 'deadline_scale', 1e12),  # too long a wait for the edge worker
    ('FrameLatency', 'head', inf),  # no window for the meter to integrate over
    ('FrameLatency', 'total', inf),
    ('FrameLatency', 'outcome', 7)])  # unknown to the dashboard and to the closing line
def test_values_that_stopped_a_node_are_refused_by_name(kind: str, field: str,
                                                        value: float) -> None:
    with pytest.raises(IncomingError, match=field):
        checked(kind, SimpleNamespace(**{field: value}))


RESULT = {'labels': ['a', 'b'], 'ids': [0, 1], 'scores': [0.6, 0.4]}
DETECTIONS = {'image_width': 640, 'image_height': 480}
PART = SimpleNamespace(dtype='int8', shape=[4, 4, 8], scale=1.0)
ENERGY = {'stages': ['head'], 'stage_energy': [0.5]}


@pytest.mark.parametrize('kind, good, wrong', [
    *(('Classification', RESULT, wrong) for wrong in (
        {'labels': ['a']}, {'ids': []}, {'scores': [0.6, nan]}, {'scores': [0.6, -inf]},
        {'server_total': inf}, {'server_total': -1.0}, {'kind': 'a\nb'}, {'kind': 'poses'},
        {'labels': ['a'] * 10_001, 'ids': [0] * 10_001, 'scores': [0.0] * 10_001})),
    *(('RemoteResult', RESULT, wrong) for wrong in (
        {'status': 99}, {'labels': ['a']}, {'boxes': [nan]}, {'boxes': [0.0] * 40_001},
        {'parts': [PART] * 257})),
    *(('Detections', DETECTIONS, wrong) for wrong in (
        {'image_width': 0}, {'image_height': 2**32 - 1},
        *({'detections': [SimpleNamespace(**{'label': 'cat', 'score': 0.5, **dict.fromkeys(
            ('x_min', 'y_min', 'x_max', 'y_max'), 1.0), **box})]} for box in (
                {'x_min': nan}, {'y_max': -1.0}, {'score': inf})))),
    *(('FrameEnergy', ENERGY, wrong) for wrong in (
        {'stage_energy': []}, {'energy': inf}, {'idle_energy': -inf}, {'window': inf},
        {'window': nan}, {'uncertainty': -0.1}, {'residual_w': -0.1}, {'residual_w': inf},
        {'stage_energy': [inf]},
        {'stages': ['head'] * 33, 'stage_energy': [0.5] * 33})),
    *(('FrameLatency', {'end': nan}, wrong) for wrong in ({'end': -1.0}, {'end': inf})),
    *(('FeatureTensor', {}, wrong) for wrong in (
        {'drone': '/a b'}, {'drone': '/a' * 101}, {'codec': 'x' * 201},
        {'parts': [SimpleNamespace(**{**vars(PART), 'dtype': 'a\nb'})]},
        {'parts': [SimpleNamespace(**{**vars(PART), 'shape': [1] * 9})]}, {'remaining': inf},
        {'header': SimpleNamespace(frame_id='x' * 201)}))], ids=lambda v: ','.join(v) if v else '')
def test_a_forged_message_is_refused_by_the_name_of_its_field(
        kind: str, good: dict[str, Any], wrong: dict[str, Any]) -> None:
    assert checked(kind, SimpleNamespace(**good))
    with pytest.raises(IncomingError, match=next(iter(wrong))):
        checked(kind, SimpleNamespace(**{**good, **wrong}))
