"""A drone and a server as one would write them in an afternoon: what `against_naive.py` beats.

One thread, default QoS, the tensor as float32 in a Float32MultiArray filled from a list, no
codec. Nothing is made slow on purpose: the image is copied once, the network is the same and
just as warm, and the result goes to the camera without a detour over the drone.
"""

import sys

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, String

from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.open_network import open_network


class NaiveNode(Node):
    """Loads the network that the parameters name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        p = {n: self.declare_parameter(n, d).value for n, d in (
            ('model', 'aerial'), ('weights', 'bundled'), ('split', 'block4_pool'),
            ('runtime', 'auto'), ('threads', 2))}
        self.artefact = prepare(p['model'], p['weights'])
        self.cut = self.artefact.cut(p['split'])
        self.spec, = self.artefact.tensors(self.cut)  # it knows cuts of one tensor
        self.network = open_network(self.artefact, 'cpu', p['runtime'], p['threads'])
        self.network.prepare(self.cut)


class NaiveEdge(NaiveNode):
    """Image in, tensor out."""

    def __init__(self) -> None:
        super().__init__('naive_edge')
        self.publisher = self.create_publisher(Float32MultiArray, 'features', 10)
        self.create_subscription(Image, 'image_raw', self.on_image, 10)

    def on_image(self, message: Image) -> None:
        """Copy, resize, compute, publish."""
        picture = np.frombuffer(bytes(message.data), np.uint8)
        picture = picture.reshape(message.height, message.width, 3)
        height, width = self.artefact.input.shape[:2]
        pixels = cv2.resize(picture, (width, height))
        tensor = self.spec.dequantise(self.network.head(self.cut, pixels)[0])
        self.publisher.publish(Float32MultiArray(data=tensor.flatten().tolist()))


class NaiveServer(NaiveNode):
    """Tensor in, best class out."""

    def __init__(self) -> None:
        super().__init__('naive_server')
        self.publisher = self.create_publisher(String, 'classification', 10)
        self.create_subscription(Float32MultiArray, 'features', self.on_features, 10)

    def on_features(self, message: Float32MultiArray) -> None:
        """Compute, publish."""
        x = np.array(message.data, np.float32).reshape(self.spec.shape)
        tensor = np.round(x / self.spec.scale + self.spec.zero_point).astype(self.spec.dtype)
        scores, = self.network.tail(self.cut, (tensor,))
        self.publisher.publish(String(data=self.artefact.label(int(np.argmax(scores)))))


def main() -> None:
    """Run `edge` or `server`."""
    rclpy.init(args=sys.argv)
    rclpy.spin({'edge': NaiveEdge, 'server': NaiveServer}[sys.argv[1]]())


if __name__ == '__main__':
    main()
