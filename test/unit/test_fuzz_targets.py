"""What scripts/fuzz.sh does for hours, for a moment: each parser takes its input or refuses it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.damage import edited, edits

# It needs all readers of bags and of networks.
TARGETS = pytest.importorskip('fuzz.targets', exc_type=ModuleNotFoundError).TARGETS

pytestmark = pytest.mark.filterwarnings('ignore')  # of libraries, about odd input


@pytest.fixture(scope='module', params=TARGETS)
def seeds(request: pytest.FixtureRequest) -> tuple[str, list[bytes]]:
    return request.param, [*TARGETS[request.param].seeds()]


def test_what_our_own_writers_make_is_taken(seeds: tuple[str, list[bytes]]) -> None:
    name, inputs = seeds
    assert inputs and all(map(TARGETS[name].run, inputs))
    assert max(map(len, inputs)) <= TARGETS[name].most_bytes


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_input_is_taken_or_refused(seeds: tuple[str, list[bytes]],
                                           data: st.DataObject) -> None:
    name, inputs = seeds
    TARGETS[name].run(edited(data.draw(st.sampled_from(inputs)), data.draw(edits)))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=100))
def test_noise_is_taken_or_refused(seeds: tuple[str, list[bytes]], noise: bytes) -> None:
    TARGETS[seeds[0]].run(noise)
