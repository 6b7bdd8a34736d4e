"""Messages that have taken a node out of service, as their rules see them."""

from math import inf
from types import SimpleNamespace

import pytest

from offload_perception.errors import IncomingError
from offload_perception.telemetry.rules import checked


@pytest.mark.parametrize('kind, field, value', [
    ('MissionPolicy', 'deadline_scale', 1e12),  # too long a wait for the edge worker
    ('FrameLatency', 'head', inf),  # no window for the meter to integrate over
    ('FrameLatency', 'total', inf),
    ('FrameLatency', 'outcome', 7)])  # unknown to the dashboard and to the closing line
def test_values_that_stopped_a_node_are_refused_by_name(kind, field, value):
    with pytest.raises(IncomingError, match=field):
        checked(kind, SimpleNamespace(**{field: value}))
