"""Rotations: products, interpolation, and from the axes of aviation to those of ROS (REP 103)."""

from math import acos, isfinite, sin, sqrt

from offload_perception.flight.vehicle_state import Quaternion

_STRAIGHT = 0.9995  # cosine from which on sin(angle) is too small to divide by
# North-east-down to east-north-up: half a turn about the axis between north and east. Its own
# inverse.
_NED_ENU = Quaternion(0.0, sqrt(0.5), sqrt(0.5), 0.0)
# Forward-right-down to forward-left-up: half a turn about the forward axis. Its own inverse.
_FRD_FLU = Quaternion(0.0, 1.0, 0.0, 0.0)


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the rotation `b`, then `a` (Hamilton product)."""
    return Quaternion(
        a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
        a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
        a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
        a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w)


def unit(q: Quaternion) -> Quaternion | None:
    """Return `q` at length 1; None if it is no rotation: zero, infinite or NaN."""
    norm = sqrt(sum(c * c for c in q))
    if not isfinite(norm) or norm < 1e-6:
        return None
    return Quaternion(*(c / norm for c in q))


def ned_frd_to_enu_flu(q: Quaternion) -> Quaternion:
    """Return a body's attitude in ROS axes: body FLU to ENU.

    :param q: the same attitude in the axes of aviation, body FRD to NED.
    """
    return multiply(multiply(_NED_ENU, q), _FRD_FLU)


def slerp(a: Quaternion, b: Quaternion, share: float) -> Quaternion:
    """Return the attitude that is `share` (0 .. 1) of the way from `a` to `b`, the short way.

    Spherical linear interpolation (Shoemake 1985).
    """
    cosine = sum(x * y for x, y in zip(a, b, strict=True))
    if cosine < 0:
        b, cosine = Quaternion(*(-c for c in b)), -cosine
    if cosine > _STRAIGHT:
        near, far = 1 - share, share
    else:
        angle = acos(cosine)
        near, far = sin((1 - share) * angle) / sin(angle), sin(share * angle) / sin(angle)
    between = unit(Quaternion(*(near * x + far * y for x, y in zip(a, b, strict=True))))
    assert between is not None  # the short way never leads through zero
    return between
