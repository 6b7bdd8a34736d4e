"""A simulated autopilot: it publishes what MAVROS or PX4 would, with their QoS, signs and frames.

The flight is made up. Run it beside a drone that flies the demo:
python test/node/simulated_autopilot.py px4
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from math import cos, nan, radians, sin
from typing import Any

import rclpy
from geometry_msgs.msg import Quaternion
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import BatteryState, Imu, NavSatFix, NavSatStatus
from std_msgs.msg import Header

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PX4 = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT,
                 durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Truth:
    """What the vehicle really does at a moment [s]: a level, turning climb to the north-east."""

    def __init__(self, start_s: float) -> None:
        self._start_s = start_s

    def position(self, t_s: float) -> tuple[float, float, float]:
        """Return latitude, longitude [deg] and height above the ellipsoid [m]."""
        flown_s = t_s - self._start_s
        return 47.0 + 1e-5 * flown_s, 8.0 + 2e-5 * flown_s, 500.0 + flown_s

    def heading(self, t_s: float) -> float:
        """Return where the nose points, clockwise from north [deg]."""
        return 10.0 * (t_s - self._start_s)


class Autopilot(ABC):
    """What both stacks share; tests change the fields, `step` publishes everything once."""

    publishers: list[Any]

    def __init__(self, node: Node, prefix: str) -> None:
        self.node, self.prefix = node, prefix
        self.truth = Truth(self.now())
        self.armed, self.landed, self.returning = True, False, False
        self.fraction, self.volts, self.amps = 0.8, 15.5, 12.25

    def now(self) -> float:
        return self.node.get_clock().now().nanoseconds * 1e-9

    def step(self) -> None:
        """Publish a pose of now, and everything else."""
        t_s = self.now()
        self.say_state()
        self.say_battery()
        self.say_pose(t_s, *self.truth.position(t_s), self.truth.heading(t_s))

    @abstractmethod
    def say_state(self) -> None:
        ...

    @abstractmethod
    def say_battery(self) -> None:
        ...

    @abstractmethod
    def say_pose(self, t_s: float, latitude: float, longitude: float, altitude: float,
                 heading: float) -> None:
        ...


class SimulatedMavros(Autopilot):
    """Publishes as MAVROS: ENU and FLU, currents negative when discharging."""

    def __init__(self, node: Node, prefix: str = '/mavros') -> None:
        super().__init__(node, prefix)
        from mavros_msgs.msg import ExtendedState, State
        self._state, self._extended = State, ExtendedState
        publisher, sensor = node.create_publisher, qos_profile_sensor_data
        self._state_pub = publisher(State, f'{prefix}/state', LATCHED)
        self._extended_pub = publisher(ExtendedState, f'{prefix}/extended_state', LATCHED)
        self._battery_pub = publisher(BatteryState, f'{prefix}/battery', sensor)
        self._fix_pub = publisher(NavSatFix, f'{prefix}/global_position/global', sensor)
        self._imu_pub = publisher(Imu, f'{prefix}/imu/data', sensor)
        self.publishers = [self._state_pub, self._extended_pub, self._battery_pub, self._fix_pub,
                           self._imu_pub]

    def _header(self, t_s: float, frame_id: str = '') -> Header:
        header = Header(frame_id=frame_id)
        header.stamp.sec, header.stamp.nanosec = int(t_s), int(t_s % 1 * 1e9)
        return header

    def say_state(self) -> None:
        self._state_pub.publish(self._state(
            header=self._header(self.now()), connected=True, armed=self.armed,
            mode='AUTO.RTL' if self.returning else 'AUTO.MISSION', system_status=4))
        self._extended_pub.publish(self._extended(
            header=self._header(self.now()), landed_state=1 if self.landed else 2))

    def say_battery(self) -> None:
        unknown = self.fraction is None
        self._battery_pub.publish(BatteryState(
            header=self._header(self.now()), voltage=self.volts, current=-self.amps,
            charge=nan, capacity=nan, design_capacity=nan, location='id0', present=True,
            percentage=-0.01 if unknown else self.fraction))

    def say_pose(self, t_s: float, latitude: float, longitude: float, altitude: float,
                 heading: float) -> None:
        header = self._header(t_s, 'base_link')
        self._fix_pub.publish(NavSatFix(
            header=header, status=NavSatStatus(status=NavSatStatus.STATUS_FIX),
            latitude=latitude, longitude=longitude, altitude=altitude))
        yaw = radians(90.0 - heading) / 2  # counterclockwise from east
        self._imu_pub.publish(Imu(header=header, orientation=Quaternion(
            w=cos(yaw), x=0.0, y=0.0, z=sin(yaw))))


class SimulatedPx4(Autopilot):
    """Publishes as PX4 over uXRCE-DDS: NED and FRD, currents positive when discharging.

    `clock_offset_s` is the offset of unsynchronised time stamps.
    """

    def __init__(self, node: Node, prefix: str = '/fmu') -> None:
        super().__init__(node, prefix)
        import px4_msgs.msg as m
        self._m, self.clock_offset_s = m, 0.0
        self._pubs = {kind: node.create_publisher(kind, f'{prefix}/out/{self._name(name, kind)}',
                                                  PX4)
                      for name, kind in (('vehicle_status', m.VehicleStatus),
                                         ('vehicle_land_detected', m.VehicleLandDetected),
                                         ('battery_status', m.BatteryStatus),
                                         ('vehicle_global_position', m.VehicleGlobalPosition),
                                         ('vehicle_attitude', m.VehicleAttitude))}
        self.publishers = list(self._pubs.values())

    @staticmethod
    def _name(name: str, kind: type) -> str:
        """Return the topic as the firmware of the kind's release names it."""
        version = getattr(kind, 'MESSAGE_VERSION', 0)
        return f'{name}_v{version}' if version > 0 else name

    def _say(self, kind: type, t_s: float, **values: object) -> None:
        stamps = {name: int((t_s + self.clock_offset_s) * 1e6)
                  for name in ('timestamp', 'timestamp_sample') if hasattr(kind, name)}
        known = {k: v for k, v in values.items() if hasattr(kind, k)}
        self._pubs[kind].publish(kind(**stamps, **known))

    def say_state(self) -> None:
        self._say(self._m.VehicleStatus, self.now(), arming_state=2 if self.armed else 1,
                  nav_state=5 if self.returning else 3, failsafe=False)
        self._say(self._m.VehicleLandDetected, self.now(), landed=self.landed)

    def say_battery(self) -> None:
        self._say(self._m.BatteryStatus, self.now(), voltage_v=self.volts, current_a=self.amps,
                  remaining=-1.0 if self.fraction is None else self.fraction, connected=True)

    def say_pose(self, t_s: float, latitude: float, longitude: float, altitude: float,
                 heading: float) -> None:
        self._say(self._m.VehicleGlobalPosition, t_s, lat=latitude, lon=longitude,
                  alt=altitude - 48.0, alt_ellipsoid=altitude, lat_lon_valid=True, alt_valid=True)
        half = radians(heading) / 2  # clockwise from north
        self._say(self._m.VehicleAttitude, t_s, q=[cos(half), 0.0, 0.0, sin(half)])


STACKS: dict[str, Callable[..., Autopilot]] = {'mavros': SimulatedMavros, 'px4': SimulatedPx4}


def main() -> None:
    """Fly at 20 Hz: a minute in the air, then home, land, disarm; and again."""
    rclpy.init()
    node = rclpy.create_node('simulated_autopilot')
    autopilot = STACKS[sys.argv[1] if len(sys.argv) > 1 else 'mavros'](node)
    start_s = autopilot.now()

    def step() -> None:
        flown_s = (autopilot.now() - start_s) % 100
        autopilot.fraction = max(0.05, 0.9 - flown_s / 80)
        autopilot.returning, autopilot.landed = flown_s > 60, flown_s > 75
        autopilot.armed = flown_s < 85
        autopilot.step()
    node.create_timer(0.05, step)
    with suppress(KeyboardInterrupt):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
