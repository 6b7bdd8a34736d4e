"""How good the forecasts are."""

from math import isnan, nan

import pytest

from offload_perception.planning.accuracy import ForecastError


def test_an_error_is_a_share_of_what_came_and_may_be_above_one() -> None:
    error = ForecastError()
    assert isnan(error.mape)
    error.add(0.3, 0.1)
    assert error.mape == pytest.approx(2.0)


def test_what_next_to_nothing_came_of_does_not_end_the_figure() -> None:
    error = ForecastError()
    for predicted, actual in ((1.1, 1.0), (1.0, 5e-324), (nan, 1.0), (1.0, 0.0), (1.1, 1.0)):
        error.add(predicted, actual)
    assert error.mape == pytest.approx(0.1) and error.count == 2
