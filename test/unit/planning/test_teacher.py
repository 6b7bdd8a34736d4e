"""Agreement of a network with a learned bottleneck is with its teacher, on board as well."""

from dataclasses import replace

import pytest

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.sizes import SizeTable
from offload_perception.planning.what_if import Conditions, WhatIf
from offload_perception.profiles import device_profile
from offload_perception.profiles.scaling import for_network

SHAPE = replace(NetworkShape.preset('aerial'), agreement=0.9)
CUT = SHAPE.names.index('block5_pool')


def what_if(floor: float) -> WhatIf:
    sizes = SizeTable(SHAPE)
    sizes.set(CUT, 'lossy:4', nbytes=60, encode_s=1e-4, agreement=0.96)
    profile = for_network(device_profile.load('raspberry_pi_3b_plus_coral'), SHAPE)
    return WhatIf(SHAPE, profile, sizes, PlannerSettings(agreement_floor=floor),
                  ((CUT, 'lossy:4'), (CUT, 'auto')))


def test_on_board_and_lossless_agree_as_often_as_the_network() -> None:
    forecast = what_if(0.95).forecast(Conditions(1e5))
    assert forecast.agreement.tolist() == pytest.approx([0.9, 0.96, 0.9])


def test_a_floor_above_the_network_leaves_only_what_was_measured_above_it() -> None:
    chosen = what_if(0.95).choose(Conditions(1e5), 0.0)
    assert (chosen.cut, chosen.codec) == (CUT, 'lossy:4')
    assert what_if(0.9).allowed(what_if(0.9).forecast(Conditions(1e5))).all()


def test_a_floor_that_nothing_reaches_is_said() -> None:
    assert 'no candidate reaches the agreement floor' in what_if(0.97).choose(
        Conditions(1e5), 0.0).reason
