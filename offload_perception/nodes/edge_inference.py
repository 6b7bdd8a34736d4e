"""The drone's node: images in, tensors out to a server, results and telemetry out."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float64

from offload_perception.bringup.config import EdgeConfig
from offload_perception.codec.calibration import FILE as CALIBRATION_FILE
from offload_perception.codec.calibration import Calibration, check
from offload_perception.codec.registry import check_name
from offload_perception.edgetpu.mapping import REPORT, CompileReport
from offload_perception.errors import ConfigError, PlanError
from offload_perception.frames import (
    PROBE_CODEC,
    REPLIES,
    REPORTING_FAILED,
    FeaturePacket,
    Frame,
    Status,
    reply_topic,
)
from offload_perception.health import Finding
from offload_perception.health.computer import ComputerWatch
from offload_perception.health.drone import FramesWatch, servers_findings
from offload_perception.health.guard import guarded, told
from offload_perception.health.layers import SpeedWatch, network_findings
from offload_perception.imaging.encodings import ValueRange
from offload_perception.incoming import text
from offload_perception.msg import (
    Classification,
    FrameEnergy,
    FrameLatency,
    OffloadDecision,
    ServerBeat,
    ServerStatus,
)
from offload_perception.network.shape import NetworkShape
from offload_perception.nodes import qos
from offload_perception.nodes.convert import (
    fit_image,
    latency_message,
    reply_of,
    result_message,
)
from offload_perception.nodes.convert_decision import (
    decision_message,
    server_report,
    static_decision,
)
from offload_perception.nodes.executor import subscribe_in_lane
from offload_perception.nodes.image_feed import ImageFeed
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.mission import MissionFollower
from offload_perception.nodes.model import load_artefact, load_network
from offload_perception.nodes.namesakes import refuse_namesake
from offload_perception.nodes.running import main_of
from offload_perception.nodes.servers import Servers, namespaces
from offload_perception.pipeline.auto import AutoStrategy
from offload_perception.pipeline.edge import EdgePipeline
from offload_perception.pipeline.plan import EdgeSettings, Ended, Plan
from offload_perception.planning.beat import age_s
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.session import PlanningSession
from offload_perception.planning.sizes import COSTS_FILE, SizeTable, load_costs
from offload_perception.profiles import device_profile as profile
from offload_perception.profiles import quick
from offload_perception.profiles.scaling import for_network
from offload_perception.runtime.emulated import EmulatedNetwork
from offload_perception.runtime.network import Network

AUTO = 'auto'
EXPIRE_PERIOD_S = 0.05
PROBE_PERIOD_S = 0.1


class EdgeInferenceNode(ManagedNode):
    """Wires images, servers, planner and telemetry to an EdgePipeline."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('edge_inference', EdgeConfig, **kwargs)
        self._network = self._pipeline = self._servers = self._strategy = None
        self._entities: list[tuple[Any, Any]] = []
        self._problem_lock = threading.Lock()
        self._problems: dict[str, str] = {}
        self._unreported = 0
        self._reported: OffloadDecision | None = None
        self._compiled: CompileReport | None = None
        self._power_pub: Publisher | None = None

    # -- lifecycle --------------------------------------------------------------------------

    def load(self) -> None:
        """Load the model, and make the planner or merge the layers of the cut."""
        c = self.config
        namespaces(c.server)  # refuse wrong names before loading
        ValueRange(c.black, c.white)  # and so does a wrong range
        self._artefact = load_artefact(self, c)
        plan = self._static_plan(c)  # refuse a wrong split or codec before loading
        self._network = load_network(self, c, self._artefact)  # `release` closes it from here on
        self._network = self._emulated(c, self._network)
        self._compiled = self._compile_report()
        if plan is None:
            self.progress('timing the layers for the planner')
            self._strategy = self._make_strategy(c)
        else:
            self.progress(f'merging the layers around cut {plan.split}')
            self._network.prepare(plan.split)
        refuse_namesake(self)  # last: by now a namesake has been discovered

    def configure(self) -> None:
        """Create the topics."""
        c = self.config
        if c.emulate:
            self._power_pub = self.create_publisher(Float64, 'emulated_power', qos.LATCHED)
            self._entities.append((self.destroy_publisher, self._power_pub))
        self._servers = Servers(
            self, namespaces(c.server), depth=c.max_in_flight, on_status=self._on_status,
            on_beat=self._on_beat if self._strategy else None)
        self._mission = MissionFollower(self, self._set_pace)
        self._entities.append((MissionFollower.close, self._mission))
        self._publish()
        self._listen(c)

    def _emulated(self, c: EdgeConfig, network: Network) -> Network:
        """Return the network, emulating another computer if the parameters say so."""
        if not c.emulate:
            return network
        device = for_network(profile.load(c.emulate), NetworkShape.of(self._artefact))
        emulated = EmulatedNetwork(network, device, self._draw)
        self.get_logger().warning(emulated.describe())
        return emulated

    def _draw(self, watts: float) -> None:
        if self._power_pub is not None:
            self._power_pub.publish(Float64(data=watts))

    def _compile_report(self) -> CompileReport | None:
        """Return the compiler's report of the model, if it runs on an Edge TPU and was kept."""
        on_chip = self._network.choice.device.startswith('edgetpu')
        return (CompileReport.load(self._artefact.path)
                if on_chip and (self._artefact.path / REPORT).is_file() else None)

    def _make_strategy(self, c: EdgeConfig) -> AutoStrategy:
        shape = NetworkShape.of(self._artefact)
        if c.profile:
            device = profile.load(c.profile)
        elif c.emulate:
            device = self._network.profile
        else:
            device = quick.measure(
                self._network, shape, runtime=self._network.choice.runtime,
                device=self._network.choice.device, active_w=c.active_power,
                sending_w=c.radio_power, compiled=self._compiled)
        self.get_logger().info(f'planning with profile {device.name}: {device.origin}')
        settings = PlannerSettings(margin=c.margin, agreement_floor=c.agreement_floor)
        sizes = SizeTable(shape)
        if (self._artefact.path / COSTS_FILE).is_file():
            sizes.load(load_costs(self._artefact.path))
        calibrated = (self._artefact.path / CALIBRATION_FILE).is_file()
        return AutoStrategy(
            PlanningSession(shape, device, settings, sizes=sizes),
            calibration=Calibration.load(self._artefact) if calibrated else None)

    def _publish(self) -> None:
        publisher = self.create_lifecycle_publisher
        self._result_pub = publisher(Classification, 'classification', qos.RESULTS)
        self._latency_pub = publisher(FrameLatency, 'frame_latency', qos.TELEMETRY)
        self._decision_pub = publisher(OffloadDecision, 'offload_decision', qos.LATCHED)
        self._entities += [(self.destroy_lifecycle_publisher, p) for p in (
            self._result_pub, self._latency_pub, self._decision_pub)]

    def _listen(self, c: EdgeConfig) -> None:
        replies = subscribe_in_lane(
            self, Classification, REPLIES,
            self.border.checked(Classification, REPLIES, self._on_reply), qos.RESULTS)
        self._entities.append((self.destroy_subscription, replies))
        self._refuse_unanswered(replies.topic_name)
        self._feed = ImageFeed(self, transport=c.transport, reliability=c.image_reliability,
                               take=self._on_image)
        self._entities.append((ImageFeed.close, self._feed))
        subscriptions = [self.create_subscription(
            FrameEnergy, 'frame_energy', self.border.checked(
                FrameEnergy, 'frame_energy', self._on_energy), qos.TELEMETRY)]
        timers = (self.create_timer(EXPIRE_PERIOD_S, self._expire),
                  self.create_timer(PROBE_PERIOD_S, self._probe))
        self._entities += [(self.destroy_subscription, s) for s in subscriptions]
        self._entities += [(self.destroy_timer, t) for t in timers]

    def _refuse_unanswered(self, topic: str) -> None:
        """Refuse a remapped topic of replies: servers derive it from the node's name."""
        if topic != (answered := reply_topic(self.get_fully_qualified_name())):
            raise ConfigError(f'{REPLIES} is remapped to {topic}, but servers answer on '
                              f'{answered}: give the node another namespace instead')

    def activate(self) -> None:
        """Start the pipeline."""
        c = self.config
        plan = self._static_plan(c) or Plan(self._artefact.last, codec='')
        self._pipeline = EdgePipeline(
            network=self._network, ended=self._on_ended,
            preprocess=partial(fit_image, how=self._artefact.fit,
                               values=ValueRange(c.black, c.white)),
            send=self._servers.send,
            problem=self._on_problem, strategy=self._strategy,
            late=self._strategy.late if self._strategy else lambda reply: None,
            decided=self._on_decided,
            settings=EdgeSettings(
                drone=self.get_fully_qualified_name(), deadline_s=c.deadline,
                reply_timeout_s=c.reply_timeout, max_in_flight=c.max_in_flight, top_k=c.top_k))
        self._feed.restart()
        self._frames, self._speed = FramesWatch(c.reply_timeout), SpeedWatch()
        self._computer = ComputerWatch()
        if self._strategy is not None:
            self._strategy.begin()
        self._unreported = 0
        self._pipeline.start(plan)
        if self._strategy is None:
            self._announce(plan)

    def deactivate(self) -> None:
        """Stop the pipeline; what is left in it is dropped and reported."""
        if self._pipeline is not None:
            self._pipeline.stop()

    def release(self) -> None:
        """Give back the topics and the model."""
        self._pipeline = self._strategy = self._reported = self._power_pub = None
        if self._network is not None:
            self._network.close()
            self._network = None
        if self._servers is not None:
            self._servers.close()
            self._servers = None
        while self._entities:
            destroy, entity = self._entities.pop()
            destroy(entity)

    # -- the plan ---------------------------------------------------------------------------

    def _static_plan(self, c: EdgeConfig) -> Plan | None:
        """Return the plan of the parameters; None if the planner chooses.

        :raises CutError, ConfigError: if there is no such cut, or the codec does not fit it.
        """
        check_name(c.codec)
        if c.split == AUTO:
            return None
        split = self._artefact.cut(c.split)
        if split == self._artefact.last:
            return Plan(split, codec='')
        check(c.codec, self._artefact, split)
        return Plan(split, codec=c.codec, server=namespaces(c.server)[0])

    def verify(self, changes: dict[str, Any]) -> None:
        """Refuse an unknown split, or a codec that cannot take the tensor there."""
        if (self._static_plan(replace(self.config, **changes)) is None) != (
                self._strategy is not None):
            raise ConfigError(f'split {AUTO} cannot be switched on or off in flight; deactivate '
                              'and clean the node up first')

    def reconfigure(self, changes: dict[str, Any]) -> None:
        """Use a new split, codec or deadline from the next frame on."""
        self._pipeline.set_deadline(self.config.deadline)
        plan = self._static_plan(self.config)
        if plan is not None and plan != self._pipeline.plan:
            self._pipeline.set_plan(plan)
            self._announce(plan)

    def _announce(self, plan: Plan) -> None:
        message = static_decision(plan, self._artefact.cut_names[plan.split],
                                  sequence=self._pipeline.counts.captured,
                                  deadline_s=self.config.deadline)
        message.header.stamp = self.get_clock().now().to_msg()
        self._report(message)

    def _on_decided(self, frame: Frame) -> None:
        session = self._strategy.session
        self._report(decision_message(frame, frame.decision, session, self._artefact.cut_names))

    def _report(self, m: OffloadDecision) -> None:
        """Publish a decision, and log it if it has changed."""
        self._decision_pub.publish(m)
        before, self._reported = self._reported, m
        if before is None or (m.split, m.codec, m.server) != (
                before.split, before.codec, before.server):
            where = f'{m.codec} to {m.server}' if m.server else 'all on board'
            self.get_logger().info(f'split {m.split} ({m.split_name}), {where}: {m.reason}')

    # -- frames, servers, meter -------------------------------------------------------------

    def _on_image(self, message: Image | CompressedImage) -> None:
        pipeline = self._pipeline  # another thread may be releasing it
        if pipeline is not None:
            message.header.frame_id = text(message.header.frame_id)  # goes a long way
            pipeline.offer(message.header, message)

    def _on_reply(self, message: Classification) -> None:
        pipeline, strategy = self._pipeline, self._strategy
        if pipeline is None:
            return
        if message.status == Status.PROBE:
            if strategy is not None:
                strategy.probe_answered(message.nonce, message.server, message.server_total)
            return
        pipeline.reply(reply_of(message))

    def _on_status(self, server: str, message: ServerStatus) -> None:
        if self._strategy is None or not self.active:
            return
        try:
            self._strategy.observe_server(server_report(server, message),
                                          digest=message.model_digest)
        except PlanError as e:
            self.get_logger().warning(str(e), throttle_duration_sec=10.0)

    def _on_beat(self, server: str, message: ServerBeat, received_ns: int) -> None:
        strategy = self._strategy  # another thread may be releasing it
        if strategy is not None and self.active:
            strategy.beat(server, age_s(received_ns, time.time_ns()), clock_s=message.clock,
                          period_s=message.period, wait_s=message.expected_wait)

    def _on_energy(self, message: FrameEnergy) -> None:
        active_j = message.energy - message.idle_energy
        # A slow meter cannot always distinguish frames; uncertain energies must not be learned.
        if self._strategy is not None and message.uncertainty < active_j:
            self._strategy.metered(message.header, message.sequence, active_j)

    def _on_ended(self, ended: Ended) -> None:
        if ended.top is not None:
            self._result_pub.publish(result_message(
                ended, self._artefact, self.get_fully_qualified_name()))
        self._latency_pub.publish(latency_message(ended))
        if self._strategy is not None:
            self._strategy.ended(ended)

    def _on_problem(self, reason: str, text: str) -> None:
        with self._problem_lock:
            self._problems[str(reason)] = text
            self._unreported += reason == REPORTING_FAILED
        self.get_logger().warning(f'{reason}: {text}', throttle_duration_sec=5.0)

    def _set_pace(self, min_period_s: float, deadline_scale: float) -> None:
        if self._pipeline is not None:
            self._pipeline.set_pace(min_period_s, deadline_scale)

    def _expire(self) -> None:
        if self.active:
            self._pipeline.expire()
            self._mission.expire()

    def _probe(self) -> None:
        """Send a probe if the planner wants one."""
        if self._strategy is None or not self.active:
            return
        if (found := self._strategy.next_probe(self._pipeline.link_idle)) is not None:
            nonce, probe = found
            if not self._servers.send(self._probe_packet(nonce, probe.nbytes), probe.server):
                self._strategy.probe_unsent(nonce)

    def _probe_packet(self, nonce: int, nbytes: int) -> FeaturePacket:
        return FeaturePacket(
            header=OffloadDecision().header, drone=self.get_fully_qualified_name(),
            sequence=0, nonce=nonce, model_digest=self._artefact.digest, split=0, split_name='',
            codec=PROBE_CODEC, dtype='', shape=(), scale=0.0, zero_point=0, remaining_s=0.0,
            data=np.zeros(nbytes, np.uint8))

    # -- health -----------------------------------------------------------------------------

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with images, servers, frames, layers and computer."""
        yield from guarded('images', lambda: self._feed.findings(now_s))
        yield from guarded('servers', lambda: self._server_findings(now_s))
        yield from guarded('frames', lambda: self._frames.findings(
            self._pipeline.counts, self._problems, self._pipeline.plan.server or 'the server',
            now_s, self._unreported))
        yield from guarded('computer', lambda: self._computer.findings(now_s))
        yield from guarded('layers', self._layer_findings)

    def _server_findings(self, now_s: float) -> Iterator[Finding]:
        plan, session = self._pipeline.plan, self._strategy and self._strategy.session
        names = self._servers.names if session else (plan.server,) if plan.server else ()
        return servers_findings({n: self._servers.problem(n, now_s) for n in names},
                                lost=session.lost if session else (), local=bool(session),
                                turning_away=session.turning_away(now_s) if session else {})

    def _layer_findings(self) -> Iterator[Finding]:
        if self._strategy:
            yield from self._speed.findings(self._strategy.session.head.slowdown)
        yield from network_findings(
            self._network.trouble, self._network.choice.fallback, self._artefact.trained,
            self._compiled.streamed_bytes(self._pipeline.plan.split) if self._compiled else 0,
            self._artefact.doubt)

    def mend_qos(self, topic: str) -> str:
        """Return how to fit a camera's QoS."""
        return self._feed.mend_qos(topic)

    def values(self) -> dict[str, Any]:
        """Return the counts, the runtime and what went wrong last."""
        if self._pipeline is None:
            return {}
        counts, plan = self._pipeline.counts, self._pipeline.plan
        return {
            'split': f'{plan.split} ({self._artefact.cut_names[plan.split]})',
            'model': self._artefact.name, 'weights': self._artefact.weights,
            'fit': self._artefact.fit, 'images from': self._feed.describe(),
            'emulates': self.config.emulate,
            'runtime': self._network.describe(), 'captured': counts.captured,
            'remote': counts.remote, 'local': counts.local, 'dropped': counts.dropped,
            'under way': counts.under_way, 'unexpected replies': counts.unexpected_replies,
            'foreign replies': counts.foreign_replies,
            'mission policy': self._mission.policy or 'none',
            **{f'dropped: {reason}': n for reason, n in counts.reasons.items()},
            **{f'last {reason}': text for reason, text in dict(self._problems).items()},
            **told('computer', self._computer.values)}


main = main_of(EdgeInferenceNode)
