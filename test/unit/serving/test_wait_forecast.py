from math import nan

import pytest

from offload_perception.serving.wait_forecast import WaitForecast


def learned(waits: list[tuple[float, float]], times: int = 400) -> WaitForecast:
    forecast = WaitForecast()
    for _ in range(times):
        for planned_s, waited_s in waits:
            forecast.observe(planned_s, waited_s)
    return forecast


def test_what_was_never_observed_is_expected_as_planned() -> None:
    assert WaitForecast().expected_s(0.3) == 0.3


def test_waits_that_are_always_longer_by_a_part_are_expected_to_be() -> None:
    forecast = learned([(0.1, 0.15), (0.2, 0.3)])
    assert forecast.expected_s(0.4) == pytest.approx(0.6)
    assert forecast.expected_s(0.0) == 0.0


def test_the_time_to_start_is_added_to_every_wait() -> None:
    forecast = learned([(0.0, 0.002), (0.1, 0.102)])
    assert forecast.expected_s(0.0) == pytest.approx(0.002, rel=0.01)
    assert forecast.expected_s(0.1) == pytest.approx(0.102, rel=0.01)


def test_a_wait_that_could_not_be_planned_teaches_nothing() -> None:
    assert learned([(nan, 5.0)]).expected_s(0.1) == 0.1


@pytest.mark.parametrize(('waited_s', 'expected_s'), [(10.0, 0.3), (0.0, 0.05)])
def test_it_is_never_far_from_what_is_planned(waited_s: float, expected_s: float) -> None:
    """A stall of the computer does not turn others away for long."""
    assert learned([(0.1, waited_s)]).expected_s(0.1) == pytest.approx(expected_s)
