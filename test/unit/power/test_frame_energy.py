import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import MeterError
from offload_perception.power.energy.frame_energy import integrate

TIMES_S = np.arange(0.0, 1.0, 0.0002)


@given(st.floats(0.0, 0.9), st.floats(0.001, 0.09), st.floats(-5.0, 5.0))
def test_linear_power_is_integrated_exactly_over_any_window(start_s: float, length_s: float,
                                                            slope: float) -> None:
    powers_w = 6.0 + slope * TIMES_S
    end_s = start_s + length_s
    found = integrate(TIMES_S, powers_w, start_s, end_s, idle_w=2.0)
    assert found.energy_j == pytest.approx(
        6.0 * length_s + slope * (end_s ** 2 - start_s ** 2) / 2)
    assert found.idle_j == pytest.approx(2.0 * length_s)
    assert found.active_j == pytest.approx(found.energy_j - found.idle_j)
    assert found.method == 'trapezoid'


@given(st.floats(0.1, 0.5), st.floats(0.05, 0.4), st.floats(20.0, 200.0))
def test_uncertainty_covers_the_error_of_a_smooth_load(start_s: float, length_s: float,
                                                       hertz: float) -> None:
    end_s, turn = start_s + length_s, 2 * np.pi * hertz
    found = integrate(TIMES_S, 3.0 + np.sin(turn * TIMES_S), start_s, end_s, idle_w=0.0)
    true_j = 3.0 * length_s - (np.cos(turn * end_s) - np.cos(turn * start_s)) / turn
    assert abs(found.energy_j - true_j) <= 3 * found.uncertainty_j + 2e-7 * hertz ** 2 * 2e-3


@pytest.mark.parametrize('window', [(-0.1, 0.5), (0.5, 1.5), (0.6, 0.5)])
def test_window_without_samples_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(MeterError, match='no power samples over the whole window'):
        integrate(TIMES_S, TIMES_S, *window, idle_w=0.0)
