"""Serve a web page that shows what the drones of the network do now, one of them in full."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from rclpy._rclpy_pybind11 import RMWError
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from offload_perception.bringup.config import DashboardConfig
from offload_perception.errors import ImageError
from offload_perception.health import Finding, error, warning
from offload_perception.imaging.encodings import ValueRange
from offload_perception.live.fleet_state import FleetState
from offload_perception.live.http_server import LiveServer
from offload_perception.live.picture import jpeg_of_compressed, jpeg_of_raw, png_of_classes
from offload_perception.live.state import LiveState
from offload_perception.msg import Detections
from offload_perception.nodes import qos
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.monitor import Listener
from offload_perception.nodes.running import main_of
from offload_perception.nodes.servers import namespaces
from offload_perception.nodes.tuner import Tuners

LOOK_PERIOD_S = 0.5
# Small pictures first: if the driver publishes both, the compressed ones cost less.
_IMAGES = {'image_raw/compressed': (CompressedImage, jpeg_of_compressed),
           'image_raw': (Image, jpeg_of_raw)}
_BOXES, _MAP = 'detections', 'class_map'


class ViewSession(Session):
    """One activation: feeds the page from the topics of drones and servers.

    Other drones than the own one, and all images, only while there are viewers.
    """

    def __init__(self, node: 'DashboardNode', server: LiveServer, fleet: FleetState) -> None:
        self._node, self._server, self._fleet = node, server, fleet
        self._listener = Listener(node, node.border, fleet)
        self._values = ValueRange(node.config.black, node.config.white)
        self._viewed: dict[str, Subscription] = {}  # by topic
        self._problems: dict[str, str] = {}
        self._next_image_s: dict[str, float] = {}  # by topic

    def start(self) -> None:
        """Subscribe."""
        self._node.resources.callback(self._listener.close)
        self._node.resources.callback(self._view, {})
        self._follow_viewers()
        self._look_timer = self._node.add_timer(LOOK_PERIOD_S, self._follow_viewers)

    def _follow_viewers(self) -> None:
        """Subscribe to what the viewers look at."""
        drones = self._server.viewed
        self._listener.listen(drones, others=bool(drones))
        self._view({self._topic(drone, t): (drone, t) for drone in drones
                    if self._is_known(drone) for t in self._pictures_of(drone)})

    def _is_known(self, drone: str) -> bool:
        """Return whether a drone is on the network; a viewer may ask for any name."""
        return drone in self._fleet.drones or drone == self._fleet.own.drone

    def _pictures_of(self, drone: str) -> list[str]:
        """Return a drone's topic of images, and those of what is drawn over them."""
        published = [t for t in (*_IMAGES, _BOXES, _MAP)
                     if self._node.count_publishers(self._topic(drone, t))]
        image = next((t for t in published if t in _IMAGES), '')
        return [t for t in published if t == image or t not in _IMAGES]

    def _topic(self, drone: str, name: str) -> str:
        return self._node.resolve_topic_name(f'{drone.rstrip("/")}/{name}')

    def _view(self, topics: Mapping[str, tuple[str, str]]) -> None:
        """Subscribe to these of the topics that are for viewers alone, and to no other.

        :param topics: from the full name to the drone, and the name in its namespace.
        """
        for topic in self._viewed.keys() - topics.keys():
            self._node.destroy_subscription(self._viewed.pop(topic))
            self._problems.pop(topic, None)
            self._next_image_s.pop(topic, None)
        for topic, (drone, name) in topics.items():
            if topic not in self._viewed:
                self._viewed[topic] = self._subscribe(topic, self._fleet.shown(drone), name)

    def _subscribe(self, topic: str, state: LiveState, name: str) -> Subscription:
        create, border = self._node.create_subscription, self._node.border
        if name == _BOXES:
            return create(Detections, topic, border.checked(
                Detections, topic, state.add_detections), qos.RESULTS)
        if name == _MAP:
            return create(Image, topic, partial(self._on_class_map, topic, state),
                          qos.images('best_effort'))
        return create(  # undecoded: the page shows only a few of the images
            _IMAGES[name][0], topic, partial(self._on_image, topic, state, name),
            qos.images('best_effort'), raw=True)

    def _on_image(self, topic: str, state: LiveState, name: str, data: bytes) -> None:
        now = time.monotonic()
        if now < self._next_image_s.get(topic, 0.0):
            return
        self._next_image_s[topic] = now + 1.0 / self._node.config.image_rate
        kind, jpeg_of = _IMAGES[name]
        with self._reporting(topic, 'picture'):
            message = deserialize_message(data, kind)
            jpeg = jpeg_of(message, self._node.config.image_width, self._values)
            state.add_picture(message.header, jpeg)

    def _on_class_map(self, topic: str, state: LiveState, message: Image) -> None:
        if not state.awaits_details(message.header):
            return
        with self._reporting(topic, 'class map'):
            state.add_class_map(
                message.header, png_of_classes(message, self._node.config.image_width))

    @contextmanager
    def _reporting(self, topic: str, what: str) -> Iterator[None]:
        try:
            yield
            self._problems.pop(topic, None)
        except (ImageError, RMWError) as e:
            self._problems[topic] = f'no {what}: {e}'

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the page."""
        if not self._server.alive:
            yield error('page', 'the page is no longer served; restart this node')
        for topic, problem in self._problems.items():
            yield warning('class map' if topic.endswith(_MAP) else 'picture', problem)

    def values(self) -> dict[str, Any]:
        """Return the viewers, and where images come from."""
        c = self._node.config
        return {'address': f'{c.host}:{self._server.port}', 'viewers': self._server.viewers,
                'images from': ', '.join(t for t in self._viewed if t.endswith(tuple(_IMAGES)))
                or 'nowhere'}


class DashboardNode(ManagedNode[DashboardConfig, ViewSession]):
    """Serves the page while it is configured; `ViewSession` feeds it."""

    doing = 'serving'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('dashboard', DashboardConfig, **kwargs)

    def configure(self) -> None:
        """Serve the page; refuse if the address is not available."""
        c = self.config
        ValueRange(c.black, c.white)  # a wrong range refuses
        self._fleet = FleetState(self.get_namespace(), namespaces(c.server))
        names = [name.strip() for name in c.names.split(',') if name.strip()]
        self._server = LiveServer(self._fleet, c.host, c.port, names)
        self.resources.callback(self._server.close)
        if c.control == 'on' or (c.control == 'auto' and self._server.local_only):
            self._server.control = Tuners(self, self._fleet)
        self.get_logger().info(f'live page on http://{c.host}:{self._server.port}/')
        if not self._server.local_only:
            self.get_logger().warning(
                'the live page has NO LOGIN: everyone who can reach it sees the camera'
                + (' and may change cut, codec and deadline' if c.control == 'on' else '')
                + '; host:=127.0.0.1 serves it to this computer alone')

    def activate(self) -> ViewSession:
        """Subscribe."""
        return ViewSession(self, self._server, self._fleet)


main = main_of(DashboardNode)
