"""A camera driver that knows nothing of this package: plain rclpy, Fast DDS' own defaults.

Publishes images for the drone in its namespace once somebody listens, and prints how many of them
that drone's edge node counted in.
"""

import argparse
import time
from array import array

import rclpy
from offload_perception.msg import FrameLatency
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image

PATIENCE_S = 60.0


class StockCamera(Node):
    """Publishes `count` rgb8 images at `rate`."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__('stock_camera', namespace='/drone1')
        self._args, self.published, self.captured, self.last_s = args, 0, 0, 0.0
        self.listened_s = float('inf')
        reliable = QoSProfile(depth=10, history=HistoryPolicy.KEEP_LAST,
                              reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = self.create_publisher(
            Image, 'image_raw', qos_profile_sensor_data if args.best_effort else reliable)
        self.create_subscription(FrameLatency, 'frame_latency', self._on_latency, 100)
        step = 3 * args.width
        self._image = Image(height=args.height, width=args.width, encoding='rgb8', step=step,
                            data=array('B', bytes(step * args.height)))
        self.create_timer(1.0 / args.rate, self._publish)

    def _on_latency(self, message: FrameLatency) -> None:
        self.captured, self.last_s = message.captured, time.monotonic()

    def _publish(self) -> None:
        now_s = time.monotonic()
        if not self._publisher.get_subscription_count():
            return
        self.listened_s = min(self.listened_s, now_s)
        if self.published == self._args.count or now_s < self.listened_s + self._args.settle:
            return
        self._image.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(self._image)
        self.published, self.last_s = self.published + 1, now_s


def main() -> None:
    """Publish all, wait until nothing more is counted, and say so."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rate', type=float, required=True)
    parser.add_argument('--width', type=int, required=True)
    parser.add_argument('--height', type=int, required=True)
    parser.add_argument('--count', type=int, default=30)
    parser.add_argument('--settle', type=float, default=1.0)
    parser.add_argument('--best-effort', action='store_true')
    args = parser.parse_args()
    rclpy.init()
    camera, executor = StockCamera(args), SingleThreadedExecutor()
    executor.add_node(camera)
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s and not (
            camera.published == args.count and time.monotonic() > camera.last_s + 2.0):
        executor.spin_once(timeout_sec=0.1)
    print(f'published {camera.published} captured {camera.captured}', flush=True)


if __name__ == '__main__':
    main()
