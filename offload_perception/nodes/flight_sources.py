"""The topics of each flight stack: type, QoS, and how a message is used."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from rclpy.qos import QoSProfile
from sensor_msgs.msg import BatteryState, Imu, NavSatFix

from offload_perception.bringup.config import FlightConfig
from offload_perception.errors import ConfigError
from offload_perception.flight import mavros, px4
from offload_perception.flight.vehicle_state import Battery, Position, Quaternion, Vehicle
from offload_perception.incoming import text
from offload_perception.nodes import qos
from offload_perception.nodes.convert_flight import seconds

_REMEDY = {
    'mavros_msgs': 'apt install ros-$ROS_DISTRO-mavros-msgs',
    'px4_msgs': 'clone the branch of your firmware, for example git clone -b release/1.16 '
                'https://github.com/PX4/px4_msgs, into the src folder of the workspace and build '
                'it with colcon',
    'vision_msgs': 'apt install ros-$ROS_DISTRO-vision-msgs',
}


def messages(package: str) -> Any:
    """Return the module with the messages of a package that is not always installed.

    :raises ConfigError: if it is not; it says what to do.
    """
    try:
        return import_module(f'{package}.msg')
    except ImportError as e:
        raise ConfigError(f'{package} is not installed ({e}): {_REMEDY[package]}, then source '
                          'the workspace') from e


@dataclass(frozen=True)
class Listener:
    """Callbacks for the messages of a flight stack; stamps are seconds."""

    vehicle: Callable[[Vehicle | None], None]
    landed: Callable[[bool | None], None]
    battery: Callable[[str, Battery], None]
    position: Callable[[float, Position | None], None]
    attitude: Callable[[float, Quaternion | None], None]


class StackTopic(NamedTuple):
    """A topic to subscribe to."""

    name: str
    kind: type
    topic: str
    receive: Callable[[Any], None]
    profile: QoSProfile = qos.SENSOR


def sources(c: FlightConfig, to: Listener) -> list[StackTopic]:
    """Return what to subscribe to; none for stack `none`.

    :raises ConfigError: if the stack's messages are not installed.
    """
    if c.stack == 'none':
        return []
    found = _mavros(c, to) if c.stack == 'mavros' else _px4(c, to)
    return [StackTopic(s.name, s.kind, getattr(c, f'{s.name}_topic') or s.topic, s.receive,
                   s.profile) for s in found]


def _mavros(c: FlightConfig, to: Listener) -> list[StackTopic]:
    m, prefix = messages('mavros_msgs'), c.prefix or '/mavros'
    return [
        StackTopic('state', m.State, f'{prefix}/state', lambda m: to.vehicle(mavros.vehicle(m)),
               qos.LATCHED),
        StackTopic('landed', m.ExtendedState, f'{prefix}/extended_state',
               lambda m: to.landed(mavros.landed(m)), qos.LATCHED),
        StackTopic('battery', BatteryState, f'{prefix}/battery',
               lambda m: to.battery(text(m.location), mavros.battery(m))),
        StackTopic('position', NavSatFix, f'{prefix}/global_position/global',
               lambda m: to.position(seconds(m.header.stamp), mavros.position(m))),
        StackTopic('attitude', Imu, f'{prefix}/imu/data',
               lambda m: to.attitude(seconds(m.header.stamp), mavros.attitude(m)))]


def _px4(c: FlightConfig, to: Listener) -> list[StackTopic]:
    m, prefix = messages('px4_msgs'), c.prefix or '/fmu'

    def source(name: str, topic: str, kind: type, receive: Callable[[Any], None]) -> StackTopic:
        return StackTopic(name, kind, f'{prefix}/out/{px4.topic_name(topic, kind)}', receive)

    return [
        source('state', 'vehicle_status', m.VehicleStatus, lambda m: to.vehicle(px4.vehicle(m))),
        source('landed', 'vehicle_land_detected', m.VehicleLandDetected,
               lambda m: to.landed(px4.landed(m))),
        source('battery', 'battery_status', m.BatteryStatus,
               lambda m: to.battery('', px4.battery(m))),
        source('position', 'vehicle_global_position', m.VehicleGlobalPosition,
               lambda m: to.position(px4.seconds(m.timestamp_sample), px4.position(m))),
        source('attitude', 'vehicle_attitude', m.VehicleAttitude,
               lambda m: to.attitude(px4.seconds(m.timestamp_sample), px4.attitude(m)))]
