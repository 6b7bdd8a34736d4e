"""What a flight stack's values become; the messages are stand-ins with the fields that count."""

from math import inf, nan
from types import SimpleNamespace as Message
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.flight import mavros, px4
from offload_perception.flight.vehicle_state import Battery, Position, Quaternion, Vehicle


def f32(value: float) -> float:
    """Return a value as a float32 field gives it."""
    return float(np.float32(value))


def of_px4(remaining: float, volts: float, amps: float, connected: bool = True) -> Battery:
    return px4.battery(Message(remaining=remaining, voltage_v=volts, current_a=amps,
                               connected=connected))


def of_mavros(percentage: float, volts: float, amps: float, present: bool = True) -> Battery:
    return mavros.battery(Message(percentage=percentage, voltage=volts, current=amps,
                                  present=present))


@given(st.floats(0, 1, width=32), st.floats(3, 60, width=32), st.floats(0.5, 200, width=32))
def test_both_stacks_agree_on_a_battery(fraction: float, volts: float, amps: float) -> None:
    wanted = Battery(fraction, volts, amps)
    assert of_px4(fraction, volts, amps) == of_mavros(fraction, volts, -amps) == wanted


@pytest.mark.parametrize('volts', [0.0, 0.03, 2.0])
def test_a_disconnected_battery_is_not_an_empty_one(volts: float) -> None:
    assert of_px4(0.0, volts, 0.0) == of_mavros(0.0, volts, 0.0) == Battery()


def test_the_stack_says_itself_that_no_battery_is_there() -> None:
    assert of_px4(0.0, 15.0, 0.0, connected=False) == Battery()
    assert of_mavros(0.0, 15.0, 0.0, present=False) == Battery()


def test_an_empty_battery_is_empty() -> None:
    assert of_px4(0.0, 13.0, 5.0).fraction == of_mavros(0.0, 13.0, -5.0).fraction == 0.0
    assert of_mavros(0.0, f32(65.535), -5.0).fraction == 0.0, 'its voltage is not known'


@pytest.mark.parametrize('current', [-1.0, nan, inf])
@pytest.mark.parametrize('volts', [0.0, nan, inf, -1.0])
@pytest.mark.parametrize('remaining', [-1.0, nan, 1.5])
def test_px4_values_that_are_invalid_are_unknown(remaining: float, volts: float,
                                                 current: float) -> None:
    assert of_px4(remaining, volts, current) == Battery(None, None, None)


@pytest.mark.parametrize('current', [f32(0.01), nan])  # the negated MAVLink value -1, in 10 mA
@pytest.mark.parametrize('volts', [f32(65.535), 0.0, nan])
@pytest.mark.parametrize('percentage', [f32(-0.01), nan])
def test_mavros_values_that_mean_unknown_are_unknown(percentage: float, volts: float,
                                                     current: float) -> None:
    assert of_mavros(percentage, volts, current) == Battery(None, None, None)


def test_charging_is_negative() -> None:
    assert of_px4(0.5, 12.0, -2.0).current_a == of_mavros(0.5, 12.0, 2.0).current_a == -2.0


@pytest.mark.parametrize(('mode', 'status', 'returning'), [
    ('AUTO.MISSION', 4, False), ('GUIDED', 4, False), ('AUTO.LOITER', 4, False),
    ('AUTO.RTL', 4, True), ('RTL', 4, True), ('SMART_RTL', 4, True), ('AUTO.LAND', 4, True),
    ('AUTO.MISSION', 5, False),  # critical: a failsafe, which may only warn
    ('AUTO.RTL', 5, True), ('STABILIZE', 6, True), ('STABILIZE', 8, True)])
def test_mavros_modes(mode: str, status: int, returning: bool) -> None:
    m = Message(connected=True, armed=True, mode=mode, system_status=status)
    assert mavros.vehicle(m) == Vehicle(armed=True, returning=returning, mode=mode)


def test_mavros_without_an_autopilot_knows_nothing() -> None:
    m = Message(connected=False, armed=False, mode='', system_status=0)
    assert mavros.vehicle(m) is None


@pytest.mark.parametrize(('state', 'landed'), [
    (0, None), (1, True), (2, False), (3, False), (4, False)])
def test_mavros_landed_states(state: int, landed: bool | None) -> None:
    assert mavros.landed(Message(landed_state=state)) is landed


@pytest.mark.parametrize(('arming', 'nav', 'failsafe', 'armed', 'returning'), [
    (1, 4, False, False, False), (2, 3, False, True, False), (2, 14, False, True, False),
    (2, 5, False, True, True), (2, 18, False, True, True), (2, 5, True, True, True),
    (2, 3, True, True, False)])  # a failsafe that only warns
def test_px4_states(arming: int, nav: int, failsafe: bool, armed: bool, returning: bool) -> None:
    found = px4.vehicle(Message(arming_state=arming, nav_state=nav, failsafe=failsafe))
    assert (found.armed, found.returning) == (armed, returning)
    assert px4.landed(Message(landed=True)) is True


@pytest.mark.parametrize(('version', 'name'), [
    ({}, 'vehicle_status'), ({'MESSAGE_VERSION': 0}, 'vehicle_status'),
    ({'MESSAGE_VERSION': 1}, 'vehicle_status_v1'), ({'MESSAGE_VERSION': 4}, 'vehicle_status_v4')])
def test_px4_topics_carry_the_version_of_their_message(version: dict[str, Any], name: str) -> None:
    assert px4.topic_name('vehicle_status', type('VehicleStatus', (), version)) == name


WHERE = Position(47.4, 8.5, 488.0)


def test_positions() -> None:
    fix = Message(latitude=47.4, longitude=8.5, altitude=488.0, status=Message(status=0))
    assert mavros.position(fix) == WHERE
    assert mavros.position(Message(**{**vars(fix), 'status': Message(status=-1)})) is None
    assert mavros.position(Message(**{**vars(fix), 'altitude': nan})) is None
    for changed in ({'latitude': 0.0, 'longitude': 0.0}, {'latitude': 90.1}, {'longitude': 181.0},
                    {'latitude': inf}, {'longitude': nan}):
        assert mavros.position(Message(**{**vars(fix), **changed})) is None, changed
    assert mavros.position(Message(**{**vars(fix), 'latitude': 0.0})) == (0.0, 8.5, 488.0)
    old = Message(lat=47.4, lon=8.5, alt=440.0, alt_ellipsoid=488.0)
    assert px4.position(old) == WHERE, 'PX4 1.15 has no flags'
    new = {**vars(old), 'lat_lon_valid': True, 'alt_valid': True}
    assert px4.position(Message(**new)) == WHERE
    assert px4.position(Message(**{**new, 'lat': 0.0, 'lon': 0.0})) is None
    for flag in ('lat_lon_valid', 'alt_valid'):
        assert px4.position(Message(**{**new, flag: False})) is None
    assert px4.seconds(1_763_000_000_250_000) == 1763000000.25


def test_attitudes() -> None:
    level_north = px4.attitude(Message(q=np.array([1, 0, 0, 0], np.float32)))
    half = 0.5 ** 0.5
    assert level_north == pytest.approx((half, 0, 0, half)) or level_north == pytest.approx(
        (-half, 0, 0, -half)), 'the nose points north: a quarter turn from east'
    assert px4.attitude(Message(q=np.zeros(4, np.float32))) is None
    imu = Message(orientation_covariance=np.zeros(9), orientation=Message(w=2., x=0., y=0., z=0.))
    assert mavros.attitude(imu) == Quaternion(1.0, 0.0, 0.0, 0.0)
    imu.orientation_covariance[0] = -1
    assert mavros.attitude(imu) is None
