"""The set-up of a node, published latched: parameters, versions, computer."""

import os
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.utilities import get_rmw_implementation_identifier

from offload_perception.camera.stream import without_password
from offload_perception.characterize import host
from offload_perception.nodes import qos
from offload_perception.telemetry.records import PARAMETER

if TYPE_CHECKING:
    from offload_perception.nodes.managed import AnyManagedNode

TOPIC = 'setup'


class Setup:
    """Publishes the set-up of one node, latched, mainly for recorders."""

    def __init__(self, node: 'AnyManagedNode') -> None:
        self._publisher = node.create_publisher(DiagnosticStatus, TOPIC, qos.LATCHED)

    def publish(self, node: 'AnyManagedNode') -> None:
        """Publish the current set-up; the node is configured."""
        parameters = {PARAMETER + name: without_password(str(value))
                      for name, value in asdict(node.config).items()}
        self._publisher.publish(DiagnosticStatus(
            name=node.get_fully_qualified_name(), hardware_id=platform.node(),
            message='what this node was run with',
            values=[KeyValue(key=k, value=v) for k, v in {**_computer(), **parameters}.items()]))


def _computer() -> dict[str, str]:
    found = host.describe()
    packages = {**found['packages'], 'python': found['python'],
                'ROS': os.environ.get('ROS_DISTRO', 'unknown'),
                'middleware': get_rmw_implementation_identifier()}
    return {'host': platform.node(),
            'computer': f'{found["board"] or found["processor"]}, {found["cores"]} cores, '
                        f'{found["memory_bytes"] / 1e9:.1f} GB',
            'system': f'{found["system"]} {found["machine"]}',
            'versions': ', '.join(f'{name} {version}' for name, version in packages.items())}
