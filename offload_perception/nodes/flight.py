"""Listen to a flight stack: say how much perception may cost, and where results were taken.

Nothing is ever sent to the flight stack.
"""

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from math import inf
from typing import Any

from offload_perception.bringup.config import FlightConfig
from offload_perception.errors import ConfigError
from offload_perception.flight.geotag import Geotagger
from offload_perception.flight.policy import PolicySettings, Verdict, decide
from offload_perception.flight.situation import Situation
from offload_perception.flight.track import Track
from offload_perception.health import Finding, warning
from offload_perception.health.flight import FlightWatch
from offload_perception.msg import Classification, GeotaggedClassification, MissionPolicy
from offload_perception.nodes import qos
from offload_perception.nodes.convert_flight import (
    geotagged_message,
    policy_message,
    seconds,
    vision_info_message,
    vision_message,
)
from offload_perception.nodes.flight_sources import Listener, messages, sources
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.running import main_of

DECIDE_PERIOD_S = 0.2
REPEAT_PERIOD_S = 1.0
GIVE_UP_PERIOD_S = 0.05


class FlightNode(ManagedNode):
    """Wires a flight stack to the policy and to the geotags; stack none only republishes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('flight', FlightConfig, **kwargs)
        self._entities: list[tuple[Any, Any]] = []
        self._vision: Any = None
        self._tagger: Geotagger | None = None

    # -- lifecycle --------------------------------------------------------------------------

    def configure(self) -> None:
        """Create the topics; a stack whose messages are not installed refuses."""
        c = self.config
        self._situation, self._verdict = Situation(c.timeout), Verdict()
        self._tagger = Geotagger(keep_s=c.pose_keep, max_gap_s=c.pose_gap, wait_s=c.pose_wait)
        self._said_s, self._tags, self._described = -inf, Counter(), ''
        found = sources(c, self._listener())
        self._topics = {s.name: self.resolve_topic_name(s.topic) for s in found}
        self._vision = self._vision_messages()
        self._publish()
        for s in found:
            self._subscribe(s.kind, s.topic, partial(self._if_active, s.receive), s.profile)
        self._subscribe(Classification, 'classification', self.border.checked(
            Classification, 'classification', self._on_result), qos.RESULTS)
        if found:
            for period_s, call in ((DECIDE_PERIOD_S, self._decide),
                                   (GIVE_UP_PERIOD_S, self._send_geotagged)):
                self._entities.append((self.destroy_timer, self.create_timer(period_s, call)))

    def _listener(self) -> Listener:
        see, now, tagger = self._situation, time.monotonic, self._tagger
        return Listener(
            vehicle=lambda vehicle: see.see_vehicle(vehicle, now()),
            landed=lambda landed: see.see_landed(landed, now()),
            battery=lambda name, battery: see.see_battery(name, battery, now()),
            position=partial(self._on_pose, 'position', tagger.position),
            attitude=partial(self._on_pose, 'attitude', tagger.attitude))

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

    def _publish(self) -> None:
        wanted = {}
        if self._topics:
            wanted |= {'mission_policy': (MissionPolicy, qos.LATCHED),
                       'geotagged': (GeotaggedClassification, qos.RESULTS)}
        if self._vision:
            wanted |= {'vision_classification': (self._vision.Classification, qos.RESULTS),
                       'vision_info': (self._vision.VisionInfo, qos.LATCHED)}
        self._pubs = {name: self.create_lifecycle_publisher(kind, name, profile)
                      for name, (kind, profile) in wanted.items()}
        self._entities += [(self.destroy_lifecycle_publisher, p) for p in self._pubs.values()]

    def _subscribe(self, kind: type, topic: str, call: Any, profile: Any) -> None:
        self._entities.append((self.destroy_subscription, self.create_subscription(
            kind, topic, call, profile)))

    def activate(self) -> None:
        """Start to wait for poses."""
        self._watch = FlightWatch(self._topics, time.monotonic())

    def deactivate(self) -> None:
        """Send waiting results, and lift the policy, since the vehicle is no longer watched."""
        if self._topics:
            self._send_geotagged(inf)
            self._verdict = Verdict(reason='the flight node was deactivated')
            self._say()

    def release(self) -> None:
        """Give the topics back."""
        self._tagger = self._vision = None
        while self._entities:
            destroy, entity = self._entities.pop()
            destroy(entity)

    # -- the policy -------------------------------------------------------------------------

    def _settings(self) -> PolicySettings:
        c = self.config
        return PolicySettings(
            battery_low=c.battery_low, hold_s=c.hold, economy_period_s=c.economy_period,
            economy_deadline_scale=c.economy_deadline_scale, ground_period_s=c.ground_period,
            return_period_s=c.return_period, return_deadline_scale=c.return_deadline_scale)

    def _decide(self) -> None:
        """Decide; publish the policy if it changed, and once a second."""
        if not self.active:
            return
        before, now = self._verdict, time.monotonic()
        self._verdict = after = decide(before, self._situation.vehicle(now),
                                       self._situation.battery(now), now, self._settings())
        changed = after.policy is not before.policy
        if changed:
            self.get_logger().info(f'policy {after.policy.name}: {after.reason}')
        if changed or now - self._said_s >= REPEAT_PERIOD_S:
            self._said_s = now
            self._say()

    def _say(self) -> None:
        self._pubs['mission_policy'].publish(policy_message(
            self._verdict, self._settings(), self.get_clock().now().to_msg()))

    # -- results ----------------------------------------------------------------------------

    def _if_active(self, receive: Any, message: Any) -> None:
        if self.active:
            receive(message)

    def _on_pose(self, name: str, track: Track, stamp_s: float, value: Any) -> None:
        self._watch.pose(name, stamp_s - self.get_clock().now().nanoseconds * 1e-9,
                         value is not None, time.monotonic())
        if value is not None:
            track.add(stamp_s, value)
            self._send_geotagged()

    def _on_result(self, m: Classification) -> None:
        if not self.active:
            return
        if self._vision:
            self._republish(m)
        if self._topics:
            self._tagger.add(seconds(m.header.stamp), m, time.monotonic())
            self._send_geotagged()

    def _republish(self, m: Classification) -> None:
        if m.model_digest != self._described:
            self._described = m.model_digest
            self._pubs['vision_info'].publish(vision_info_message(m, self._vision))
        self._pubs['vision_classification'].publish(vision_message(m, self._vision))

    def _send_geotagged(self, now_s: float | None = None) -> None:
        for result, tag in self._tagger.ready(time.monotonic() if now_s is None else now_s):
            self._tags['without pose' if tag.reason else 'with pose'] += 1
            self._pubs['geotagged'].publish(geotagged_message(result, tag))

    # -- health -----------------------------------------------------------------------------

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is missing from the flight stack."""
        if not self._topics:
            if not self._vision:
                yield warning('stack', 'nothing to do: parameter stack is none and vision_msgs '
                              'are not installed, or off')
            return
        yield from self._watch.findings(self._situation.vehicle(now_s) is not None, now_s)

    def values(self) -> dict[str, Any]:
        """Return the situation, the policy and the counts of the geotags."""
        if not self._entities:
            return {}
        now_s = time.monotonic()
        return {'policy': f'{self._verdict.policy.name}: {self._verdict.reason}',
                'vehicle': self._situation.vehicle(now_s) or 'not known',
                'battery': self._situation.battery(now_s) or 'not known',
                **{f'results {k}': n for k, n in self._tags.items()},
                **{f'{k} topic': topic for k, topic in self._topics.items()}}


main = main_of(FlightNode)
