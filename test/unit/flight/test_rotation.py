from math import cos, isclose, pi, radians, sin

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from offload_perception.flight.rotation import multiply, ned_frd_to_enu_flu, slerp, unit
from offload_perception.flight.vehicle_state import Quaternion

ONE = st.floats(-1, 1)
ATTITUDES = st.builds(Quaternion, ONE, ONE, ONE, ONE).map(unit).filter(
    lambda q: q is not None and abs(sum(c * c for c in q) - 1) < 1e-9)
ENU_OF_NED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
FLU_OF_FRD = np.diag([1, -1, -1])


def matrix(q: Quaternion) -> np.ndarray:
    """Return the rotation matrix of `q`, by another formula than the products under test.

    Euler and Rodrigues: R = I + 2 w K + 2 K K with K the cross product with (x, y, z).
    """
    k = np.array([[0, -q.z, q.y], [q.z, 0, -q.x], [-q.y, q.x, 0]])
    return np.eye(3) + 2 * q.w * k + 2 * k @ k


def aviation(roll: float, pitch: float, heading: float) -> Quaternion:
    """Return body FRD to NED of aviation's angles [deg]: heading, then pitch, then roll."""
    def about(axis: int, angle: float) -> Quaternion:
        c = [cos(radians(angle) / 2), 0.0, 0.0, 0.0]
        c[axis] = sin(radians(angle) / 2)
        return Quaternion(*c)
    return multiply(multiply(about(3, heading), about(2, pitch)), about(1, roll))


@given(ATTITUDES, ATTITUDES)
def test_a_product_is_one_rotation_after_the_other(a: Quaternion, b: Quaternion) -> None:
    assert np.allclose(matrix(multiply(a, b)), matrix(a) @ matrix(b))


@given(ATTITUDES)
def test_axes_of_ros_and_of_aviation_show_the_same_attitude(q: Quaternion) -> None:
    ros = ned_frd_to_enu_flu(q)
    assert np.allclose(matrix(ros), ENU_OF_NED @ matrix(q) @ FLU_OF_FRD)
    for axis in np.eye(3):  # a body axis seen in the world, either way
        assert np.allclose(matrix(ros) @ (FLU_OF_FRD @ axis), ENU_OF_NED @ (matrix(q) @ axis))


EAST, NORTH, UP = np.eye(3)


@pytest.mark.parametrize(('angles', 'forward', 'left'), [
    ((0, 0, 0), NORTH, -EAST), ((0, 0, 90), EAST, NORTH), ((0, 0, 180), -NORTH, EAST),
    ((0, 90, 0), UP, -EAST), ((90, 0, 0), NORTH, UP), ((180, 0, 90), EAST, -NORTH)])
def test_where_nose_and_left_wing_point(angles: tuple[int, int, int], forward: np.ndarray,
                                        left: np.ndarray) -> None:
    r = matrix(ned_frd_to_enu_flu(aviation(*angles)))
    assert np.allclose(r @ [1, 0, 0], forward, atol=1e-12)
    assert np.allclose(r @ [0, 1, 0], left, atol=1e-12)


@given(ATTITUDES, ATTITUDES, st.floats(0, 1))
def test_interpolation_turns_evenly_about_one_axis(a: Quaternion, b: Quaternion,
                                                   share: float) -> None:
    whole = angle(a, b)
    assume(whole < pi - 1e-3)  # half a turn apart there is more than one short way
    between = slerp(a, b, share)
    assert isclose(angle(a, between), share * whole, abs_tol=2e-4)
    assert isclose(angle(between, b), (1 - share) * whole, abs_tol=2e-4)


@given(ATTITUDES, ATTITUDES)
def test_interpolation_begins_and_ends_at_its_samples(a: Quaternion, b: Quaternion) -> None:
    assert np.allclose(matrix(slerp(a, b, 0.0)), matrix(a))
    assert np.allclose(matrix(slerp(a, b, 1.0)), matrix(b))


@given(ATTITUDES, ATTITUDES, st.floats(0, 1))
def test_the_sign_of_a_quaternion_does_not_matter(a: Quaternion, b: Quaternion,
                                                  share: float) -> None:
    assume(angle(a, b) < pi - 1e-3)
    other = Quaternion(*(-c for c in b))
    assert np.allclose(matrix(slerp(a, b, share)), matrix(slerp(a, other, share)))


def angle(a: Quaternion, b: Quaternion) -> float:
    cosine = (np.trace(matrix(a).T @ matrix(b)) - 1) / 2
    return float(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize('q', [(0, 0, 0, 0), (float('nan'), 0, 0, 1), (float('inf'), 0, 0, 1)])
def test_what_is_no_rotation_is_none(q: tuple[float, ...]) -> None:
    assert unit(Quaternion(*q)) is None
