import pytest

from offload_perception.planning.wait import WaitEstimator


def met(*waits_s: float, reported_s: float = 1.0) -> WaitEstimator:
    wait = WaitEstimator()
    for _ in range(5):
        wait.report(reported_s)
    for wait_s in waits_s:
        wait.report(reported_s)
        wait.observe(wait_s)
    return wait


def test_server_is_believed_until_frames_have_waited() -> None:
    assert (met().level, met().spread) == (1.0, 1.0)
    assert met(0.2, 0.2).level == 1.0


def test_cameras_in_step_meet_the_same_wait() -> None:
    wait = met(*[0.2] * 20)
    assert wait.level == pytest.approx(0.2) and wait.spread < 0.05


def test_report_above_the_usual_outweighs_the_past() -> None:
    wait = met(*[0.2] * 20)
    wait.report(3.0)
    assert wait.level == 3.0


def test_past_is_forgotten_without_frames() -> None:
    wait = met(*[0.2] * 20)
    for _ in range(11):
        wait.report(1.0)
    assert wait.level == 1.0
