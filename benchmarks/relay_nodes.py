"""Bare relays: the four messages of a frame and nothing else, the floor of `latency.py`.

Image to the drone, tensor to the server, reply to the drone, result to its subscriber: the
same message types, sizes and QoS, each node with one thread and only these topics. What they
take is what rclpy and DDS take for four messages on this machine.
"""

import sys
from collections.abc import Callable
from typing import Any

import rclpy
from offload_perception.msg import Classification, FeatureTensor
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from offload_perception.memory import keep_large_buffers
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array


class Relay(Node):
    """A node without parameter services and log topic, so that its wait set is small."""

    def __init__(self) -> None:
        super().__init__('relay', start_parameter_services=False, enable_rosout=False)

    def listen(self, kind: type, topic: str, callback: Callable[[Any], None],
               profile: QoSProfile) -> None:
        """Subscribe without event handlers."""
        self.create_subscription(
            kind, topic, callback, profile,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))


class Drone(Relay):
    """Image in, tensor of `bytes` out; reply in, result out."""

    def __init__(self) -> None:
        super().__init__()
        data = byte_array(bytes(self.declare_parameter('bytes', 50_000).value))
        features = self.create_publisher(FeatureTensor, 'features', qos.features(2))
        results = self.create_publisher(Classification, 'classification', qos.RESULTS)
        self.listen(Image, 'image_raw', lambda m: features.publish(
            FeatureTensor(header=m.header, data=data)), qos.images('best_effort'))
        self.listen(Classification, 'remote_result', results.publish, qos.RESULTS)


class Server(Relay):
    """Tensor in, reply out."""

    def __init__(self) -> None:
        super().__init__()
        replies = self.create_publisher(Classification, 'remote_result', qos.RESULTS)
        self.listen(FeatureTensor, 'features', lambda m: replies.publish(
            Classification(header=m.header)), qos.features(2))


def main() -> None:
    """Run `drone` or `server`."""
    keep_large_buffers()
    rclpy.init(args=sys.argv)
    rclpy.spin({'drone': Drone, 'server': Server}[sys.argv[1]]())


if __name__ == '__main__':
    main()
