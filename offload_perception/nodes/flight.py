"""Listen to a flight stack: say how much perception may cost, and where results were taken.

Nothing is ever sent to the flight stack.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import QoSProfile

from offload_perception.bringup.config import FlightConfig
from offload_perception.errors import ConfigError
from offload_perception.flight.geotag import Geotagger
from offload_perception.flight.policy import PolicySettings, Verdict, decide
from offload_perception.flight.situation import Situation
from offload_perception.flight.track import Track
from offload_perception.flight.vehicle_state import Battery, Position, Quaternion, Vehicle
from offload_perception.health import Finding, warning
from offload_perception.health.flight_watch import FlightWatch
from offload_perception.msg import (
    Classification,
    Detections,
    GeotaggedClassification,
    MissionPolicy,
)
from offload_perception.network.output_meaning import CLASSIFICATION
from offload_perception.nodes import qos
from offload_perception.nodes.convert_flight import (
    geotagged_message,
    policy_message,
    seconds,
    vision_detections_message,
    vision_info_message,
    vision_message,
)
from offload_perception.nodes.flight_sources import Listener, messages, sources
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.running import main_of
from offload_perception.telemetry.found import kind_of

DECIDE_PERIOD_S = 0.2
REPEAT_PERIOD_S = 1.0
GIVE_UP_PERIOD_S = 0.05


@dataclass(frozen=True)
class FlightParts:
    """What an activation works with, made when the node was configured.

    :ivar topics: full name of each topic of the flight stack, by what it carries.
    :ivar vision: the module vision_msgs.msg, None if it is not wanted or not installed.
    """

    topics: dict[str, str]
    vision: Any
    publishers: dict[str, LifecyclePublisher]


class FlightSession(Session):
    """One activation: what the flight stack reported, the policy, and results without a tag."""

    def __init__(self, node: 'FlightNode', parts: FlightParts) -> None:
        c = node.config
        self._node, self._parts = node, parts
        self._situation, self._verdict = Situation(c.timeout), Verdict()
        self._tagger = Geotagger(keep_s=c.pose_keep, max_gap_s=c.pose_gap, wait_s=c.pose_wait)
        self._watch = FlightWatch(parts.topics, time.monotonic())
        self._said_s, self._described = -inf, ''
        self._tags = Counter[str]()

    def start(self) -> None:
        """Start to wait for poses."""
        if self._parts.topics:
            self._node.resources.callback(self._finish)
            self._node.add_timer(DECIDE_PERIOD_S, self._decide)
            self._node.add_timer(GIVE_UP_PERIOD_S, self._send_geotagged)

    def _finish(self) -> None:
        """Send waiting results, and lift the policy, since the vehicle is no longer watched."""
        self._send_geotagged(inf)
        self._verdict = Verdict(reason='the flight node was deactivated')
        self._publish_policy()

    # -- the flight stack -------------------------------------------------------------------

    def on_vehicle(self, vehicle: Vehicle | None) -> None:
        """Take the vehicle's state; None = not known."""
        self._situation.see_vehicle(vehicle, time.monotonic())

    def on_landed(self, landed: bool | None) -> None:
        """Take whether the vehicle is on the ground; None = not known."""
        self._situation.see_landed(landed, time.monotonic())

    def on_battery(self, name: str, battery: Battery) -> None:
        """Take the state of one battery."""
        self._situation.see_battery(name, battery, time.monotonic())

    def on_position(self, stamp_s: float, position: Position | None) -> None:
        """Take where the vehicle was at `stamp_s`; None = no fix."""
        self._on_pose('position', self._tagger.position, stamp_s, position)

    def on_attitude(self, stamp_s: float, attitude: Quaternion | None) -> None:
        """Take how the vehicle was turned at `stamp_s`; None = not known."""
        self._on_pose('attitude', self._tagger.attitude, stamp_s, attitude)

    def _on_pose(self, name: str, track: Track[Any], stamp_s: float, value: Any) -> None:
        self._watch.observe_pose(name, stamp_s - self._node.get_clock().now().nanoseconds * 1e-9,
                         value is not None, time.monotonic())
        if value is not None:
            track.add(stamp_s, value)
            self._send_geotagged()

    # -- the policy -------------------------------------------------------------------------

    def _settings(self) -> PolicySettings:
        c = self._node.config
        return PolicySettings(
            battery_low=c.battery_low, hold_s=c.hold, economy_period_s=c.economy_period,
            economy_deadline_scale=c.economy_deadline_scale, ground_period_s=c.ground_period,
            return_period_s=c.return_period, return_deadline_scale=c.return_deadline_scale)

    def _decide(self) -> None:
        """Decide; publish the policy if it changed, and once a second."""
        before, now = self._verdict, time.monotonic()
        self._verdict = after = decide(before, self._situation.vehicle(now),
                                       self._situation.battery(now), now, self._settings())
        changed = after.policy is not before.policy
        if changed:
            self._node.get_logger().info(f'policy {after.policy.name}: {after.reason}')
        if changed or now - self._said_s >= REPEAT_PERIOD_S:
            self._said_s = now
            self._publish_policy()

    def _publish_policy(self) -> None:
        self._parts.publishers['mission_policy'].publish(policy_message(
            self._verdict, self._settings(), self._node.get_clock().now().to_msg()))

    # -- results ----------------------------------------------------------------------------

    def on_result(self, m: Classification) -> None:
        """Republish a result, and tag it with the pose at its time."""
        if self._parts.vision:
            self._republish(m)
        if self._parts.topics:
            self._tagger.add(seconds(m.header.stamp), m, time.monotonic())
            self._send_geotagged()

    def _republish(self, m: Classification) -> None:
        publishers, vision = self._parts.publishers, self._parts.vision
        if m.model_digest != self._described:
            self._described = m.model_digest
            publishers['vision_info'].publish(vision_info_message(m, vision))
        if kind_of(m) == CLASSIFICATION:  # a list of hypotheses about the whole image
            publishers['vision_classification'].publish(vision_message(m, vision))

    def on_detections(self, m: Detections) -> None:
        """Republish the boxes of a detector."""
        self._parts.publishers['vision_detections'].publish(
            vision_detections_message(m, self._parts.vision))

    def _send_geotagged(self, now_s: float | None = None) -> None:
        for result, tag in self._tagger.ready(time.monotonic() if now_s is None else now_s):
            self._tags['without pose' if tag.reason else 'with pose'] += 1
            self._parts.publishers['geotagged'].publish(geotagged_message(result, tag))

    # -- health -----------------------------------------------------------------------------

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is missing from the flight stack."""
        if not self._parts.topics:
            if not self._parts.vision:
                yield warning('stack', 'nothing to do: parameter stack is none and vision_msgs '
                              'are not installed, or off')
            return
        yield from self._watch.findings(self._situation.vehicle(now_s) is not None, now_s)

    def values(self) -> dict[str, Any]:
        """Return the situation, the policy and the counts of the geotags."""
        now_s = time.monotonic()
        return {'policy': f'{self._verdict.policy.name}: {self._verdict.reason}',
                'vehicle': self._situation.vehicle(now_s) or 'not known',
                'battery': self._situation.battery(now_s) or 'not known',
                **{f'results {k}': n for k, n in self._tags.items()},
                **{f'{k} topic': topic for k, topic in self._parts.topics.items()}}


class FlightNode(ManagedNode[FlightConfig, FlightSession]):
    """Subscribes to a flight stack for the policy and the geotags; stack none only republishes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('flight', FlightConfig, **kwargs)

    def configure(self) -> None:
        """Create the topics; a stack whose messages are not installed refuses."""
        found, vision = sources(self.config, self._listener()), self._vision_messages()
        topics = {s.name: self.resolve_topic_name(s.topic) for s in found}
        wanted: dict[str, tuple[type, QoSProfile]] = {}
        if topics:
            wanted |= {'mission_policy': (MissionPolicy, qos.LATCHED),
                       'geotagged': (GeotaggedClassification, qos.RESULTS)}
        if vision:
            wanted |= {'vision_classification': (vision.Classification, qos.RESULTS),
                       'vision_detections': (vision.Detection2DArray, qos.RESULTS),
                       'vision_info': (vision.VisionInfo, qos.LATCHED)}
        self._parts = FlightParts(topics, vision, {
            name: self.add_publisher(kind, name, profile)
            for name, (kind, profile) in wanted.items()})
        for s in found:  # checked by the readers of each stack
            subscription = self.subscribe(s.kind, s.topic, s.receive, s.profile)
            self.resources.callback(self.destroy_subscription, subscription)
        self.add_subscription(Classification, 'classification',
                              self.to_session(FlightSession.on_result), qos.RESULTS)
        if vision:
            self.add_subscription(Detections, 'detections',
                                  self.to_session(FlightSession.on_detections), qos.RESULTS)

    def _listener(self) -> Listener:
        return Listener(vehicle=self.to_session(FlightSession.on_vehicle),
                        landed=self.to_session(FlightSession.on_landed),
                        battery=self.to_session(FlightSession.on_battery),
                        position=self.to_session(FlightSession.on_position),
                        attitude=self.to_session(FlightSession.on_attitude))

    def _vision_messages(self) -> Any:
        """Return the module of vision_msgs, None if it is not wanted or not there."""
        if self.config.vision == 'off':
            return None
        try:
            return messages('vision_msgs')
        except ConfigError:
            if self.config.vision == 'on':
                raise
            return None

    def activate(self) -> FlightSession:
        """Start to wait for poses."""
        return FlightSession(self, self._parts)


main = main_of(FlightNode)
