"""The drone's node: images in, tensors out to a server, results and telemetry out."""

import threading
from dataclasses import replace
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from offload_perception import codec
from offload_perception.config import EdgeConfig
from offload_perception.msg import Classification, FeatureTensor, FrameLatency, OffloadDecision
from offload_perception.nodes import qos
from offload_perception.nodes.convert import (
    feature_message,
    fit_image,
    latency_message,
    reply_of,
    result_message,
)
from offload_perception.nodes.managed import ERROR, OK, WARN, ManagedNode, main_of
from offload_perception.nodes.model import load_artefact, load_network
from offload_perception.pipeline.edge import EdgePipeline
from offload_perception.pipeline.plan import EdgeSettings, Ended, Plan
from offload_perception.pipeline.records import DropReason, FeaturePacket

EXPIRE_PERIOD_S = 0.05


class EdgeInferenceNode(ManagedNode):
    """Wires images, server and telemetry to an EdgePipeline."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('edge_inference', EdgeConfig, **kwargs)
        self._network = self._pipeline = None
        self._entities: list[tuple[Any, Any]] = []
        self._problem_lock = threading.Lock()
        self._problems: dict[str, str] = {}

    # -- lifecycle --------------------------------------------------------------------------

    def configure(self) -> None:
        """Load the model and create the topics."""
        c = self.config
        self._artefact = load_artefact(self, c)
        plan = self._plan_of(c)  # a wrong split or codec refuses before the loading
        self._network = load_network(self, c, self._artefact)
        self._network.prepare(plan.split)
        self._publish_to(c)
        self._listen(c)

    def _publish_to(self, c: EdgeConfig) -> None:
        publisher = self.create_lifecycle_publisher
        self._result_pub = publisher(Classification, 'classification', qos.RESULTS)
        self._latency_pub = publisher(FrameLatency, 'frame_latency', qos.TELEMETRY)
        self._decision_pub = publisher(OffloadDecision, 'offload_decision', qos.LATCHED)
        self._feature_pub = publisher(FeatureTensor, f'{c.server.rstrip("/")}/features',
                                      qos.features(c.max_in_flight))
        self._entities += [(self.destroy_lifecycle_publisher, p) for p in (
            self._result_pub, self._latency_pub, self._decision_pub, self._feature_pub)]

    def _listen(self, c: EdgeConfig) -> None:
        images = qos.images(c.image_reliability)
        self._reply_sub = self.create_subscription(
            Classification, 'remote_result', self._on_reply, qos.RESULTS)
        subscriptions = (
            self._reply_sub,
            self.create_subscription(Image, 'image_raw', self._on_image, images),
            self.create_subscription(CompressedImage, 'image_raw/compressed', self._on_image,
                                     images))
        self._expire_timer = self.create_timer(EXPIRE_PERIOD_S, self._expire)
        self._entities += [(self.destroy_subscription, s) for s in subscriptions]
        self._entities.append((self.destroy_timer, self._expire_timer))

    def activate(self) -> None:
        """Start the pipeline."""
        c = self.config
        plan = self._plan_of(c)
        self._pipeline = EdgePipeline(
            network=self._network, preprocess=fit_image, send=self._send, ended=self._on_ended,
            problem=self._on_problem, settings=EdgeSettings(
                drone=self.get_fully_qualified_name(), reply_topic=self._reply_sub.topic_name,
                deadline_s=c.deadline, reply_timeout_s=c.reply_timeout,
                max_in_flight=c.max_in_flight, top_k=c.top_k))
        self._pipeline.start(plan)
        self._announce(plan)

    def deactivate(self) -> None:
        """Stop the pipeline; what is left in it is dropped and reported."""
        if self._pipeline is not None:
            self._pipeline.stop()

    def release(self) -> None:
        """Give back the topics and the model."""
        self._pipeline = None
        while self._entities:
            destroy, entity = self._entities.pop()
            destroy(entity)
        if self._network is not None:
            self._network.close()
            self._network = None

    # -- the plan ---------------------------------------------------------------------------

    def _plan_of(self, c: EdgeConfig) -> Plan:
        """Return the static plan that the parameters ask for; raises CutError, ConfigError."""
        split = self._artefact.cut(c.split)
        if split == self._artefact.last:
            return Plan(split, codec='', server='')
        codec.parse(c.codec, self._artefact.tensor(split))
        return Plan(split, codec=c.codec, server=c.server)

    def verify(self, changes: dict[str, Any]) -> None:
        """Refuse an unknown split, or a codec that cannot take the tensor there."""
        self._plan_of(replace(self.config, **changes))

    def reconfigure(self, changes: dict[str, Any]) -> None:
        """Use a new split, codec or deadline from the next frame on."""
        self._pipeline.set_deadline(self.config.deadline)
        plan = self._plan_of(self.config)
        if plan != self._pipeline.plan:
            self._pipeline.set_plan(plan)
            self._announce(plan)

    def _announce(self, plan: Plan) -> None:
        nan = float('nan')
        name = self._artefact.cut_names[plan.split]
        decision = OffloadDecision(
            sequence=self._pipeline.counts.captured, split=plan.split, split_name=name,
            codec=plan.codec, server=plan.server, feasible=True,
            reason='static: the split parameter says so', deadline=self.config.deadline,
            latency=nan, latency_spread=nan, energy=nan, energy_spread=nan, bandwidth=nan,
            round_trip=nan, server_wait=nan, candidates=1, runner_up_latency=nan,
            runner_up_energy=nan)
        decision.header.stamp = self.get_clock().now().to_msg()
        self._decision_pub.publish(decision)
        where = f'{plan.codec} to {plan.server}' if plan.server else 'all on board'
        self.get_logger().info(f'split {plan.split} ({name}), {where}')

    # -- frames -----------------------------------------------------------------------------

    def _on_image(self, message: Image | CompressedImage) -> None:
        if self.active:
            self._pipeline.offer(message.header, message)

    def _on_reply(self, message: Classification) -> None:
        if self._pipeline is None:
            return
        try:
            self._pipeline.reply(reply_of(message))
        except ValueError as e:
            self.get_logger().warning(f"reply of '{message.server}' ignored: {e}; do drone and "
                                      'server run the same version?', throttle_duration_sec=5.0)

    def _expire(self) -> None:
        if self.active:
            self._pipeline.expire()

    def _send(self, packet: FeaturePacket) -> bool:
        """Publish a packet; False where no server listens."""
        servers = self._feature_pub.get_subscription_count()
        if servers:
            self._feature_pub.publish(feature_message(packet))
        return servers > 0

    def _on_ended(self, ended: Ended) -> None:
        if ended.top is not None:
            self._result_pub.publish(result_message(
                ended, self._artefact, self.get_fully_qualified_name()))
        self._latency_pub.publish(latency_message(ended))

    def _on_problem(self, reason: DropReason, text: str) -> None:
        with self._problem_lock:
            self._problems[reason.value] = text
        # One logger call for each reason, so that each is throttled by itself.
        self.get_logger().warning(f'{reason.value}: {text}', throttle_duration_sec=5.0)

    # -- health -----------------------------------------------------------------------------

    def health(self):
        """Report the counts, the runtime and what went wrong last."""
        if not self.active:
            return OK, 'not active', {}
        counts, plan = self._pipeline.counts, self._pipeline.plan
        values = {
            'split': f'{plan.split} ({self._artefact.cut_names[plan.split]})',
            'runtime': self._network.describe(), 'captured': counts.captured,
            'remote': counts.remote, 'local': counts.local, 'dropped': counts.dropped,
            'under way': counts.under_way, 'unexpected replies': counts.unexpected_replies,
            **{f'dropped: {reason}': n for reason, n in counts.reasons.items()},
            **{f'last {reason}': text for reason, text in self._problems.items()}}
        if plan.server and not self._feature_pub.get_subscription_count():
            return ERROR, f'no server listens on {self._feature_pub.topic_name}', values
        if not counts.captured:
            return WARN, f'no image yet on {self.resolve_topic_name("image_raw")}', values
        return OK, 'running', values


main = main_of(EdgeInferenceNode)
