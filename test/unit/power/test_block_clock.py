import numpy as np
import pytest

from offload_perception.power.drivers.block_clock import CLOCK_S, BlockClock

STEP_S, BLOCK = 0.0002, 500


def blocks(count: int, start_s: float = 0.0) -> list[np.ndarray]:
    return [start_s + STEP_S * np.arange(n * BLOCK, (n + 1) * BLOCK) for n in range(count)]


def test_blocks_that_come_late_are_laid_on_an_even_line() -> None:
    rng, clock = np.random.default_rng(0), BlockClock()
    lates_s = rng.exponential(0.005, 200)
    left_s = [float(clock.taken_s(taken_s + late_s)[-1] - taken_s[-1])
              for taken_s, late_s in zip(blocks(200), lates_s, strict=True)]
    assert np.std(left_s[20:]) < 0.3 * np.std(lates_s)
    assert np.mean(left_s[20:]) == pytest.approx(0.005, abs=0.001), 'nothing shows what is common'
    assert clock.error_s == pytest.approx(0.005, rel=0.3)


def test_a_few_blocks_say_nothing_and_a_gap_begins_anew() -> None:
    clock, late_s = BlockClock(), 0.01
    for start_s in (0.0, 100.0, 103.0):
        for n, taken_s in enumerate(blocks(20, start_s)):
            stamped_s = taken_s + late_s * (n % 2)
            found_s = clock.taken_s(stamped_s)
            assert (clock.error_s == CLOCK_S) == (n < 9)
            assert np.array_equal(found_s, stamped_s) == (n < 9)


def test_no_more_is_kept_than_the_line_needs() -> None:
    clock = BlockClock()
    for taken_s in blocks(300):
        clock.taken_s(taken_s)
    assert len(clock._ends) == 101
