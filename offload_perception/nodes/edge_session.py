"""One activation of the drone's node: its pipeline, and what it counts and watches."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.camera import CameraImage
from offload_perception.edgetpu.mapping import CompileReport
from offload_perception.errors import DecodeError, IncomingError, PlanError
from offload_perception.frames import (
    REPLIES,
    REPORTING_FAILED,
    FeaturePacket,
    Frame,
    Result,
    Status,
)
from offload_perception.health import Finding
from offload_perception.health.computer import ComputerWatch
from offload_perception.health.frames_watch import FramesWatch, servers_findings
from offload_perception.health.guard import guarded, guarded_values
from offload_perception.health.layers import SpeedWatch, network_findings
from offload_perception.imaging.encodings import ValueRange
from offload_perception.incoming import age_s, text
from offload_perception.msg import (
    FrameEnergy,
    OffloadDecision,
    RemoteResult,
    ServerBeat,
    ServerStatus,
)
from offload_perception.network.output_meaning import DETECTION, SEGMENTATION
from offload_perception.nodes.convert import (
    class_map_message,
    detections_message,
    fit_image,
    latency_message,
    outputs_message,
    reply_of,
    result_message,
)
from offload_perception.nodes.convert_decision import (
    decision_message,
    server_report,
    static_decision,
)
from offload_perception.nodes.image_feed import ImageFeed, ImageWatch
from offload_perception.nodes.managed import Session
from offload_perception.nodes.mission import MissionFollower
from offload_perception.nodes.own_images import EdgeCamera, OwnImages
from offload_perception.nodes.servers import Servers
from offload_perception.pipeline.auto import AutoStrategy
from offload_perception.pipeline.edge_pipeline import EdgePipeline
from offload_perception.pipeline.packing import probe_packet
from offload_perception.pipeline.plan import EdgeSettings, Ended, Plan
from offload_perception.pipeline.planner_setup import calibration
from offload_perception.planning.link import MESSAGE_BYTES
from offload_perception.planning.session import PlanningSession
from offload_perception.runtime.emulated import EmulatedNetwork
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.ticker import Ticker

if TYPE_CHECKING:
    from offload_perception.nodes.edge_inference import EdgeInferenceNode

EXPIRE_PERIOD_S = 0.05
MISSION_PERIOD_S = 1.0
PROBE_PERIOD_S = 0.1


@dataclass(frozen=True)
class EdgeParts:
    """What an activation works with, made when the node was configured."""

    network: LoadedNetwork
    planner: PlanningSession | None
    compiled: CompileReport | None
    servers: Servers
    images: ImageFeed | EdgeCamera
    results: LifecyclePublisher
    details: LifecyclePublisher | None  # boxes, class maps or tensors
    latencies: LifecyclePublisher
    decisions: LifecyclePublisher


class EdgeSession(Session):
    """Wires images, servers, planner and telemetry to an EdgePipeline."""

    def __init__(self, node: 'EdgeInferenceNode', parts: EdgeParts, plan: Plan | None) -> None:
        """Make the pipeline; it starts with `plan`, or with the planner if that is None."""
        c = node.config
        self._node, self._parts, self._artefact = node, parts, parts.network.artefact
        self._first_plan = plan
        self._problem_lock, self._problems = Lock(), dict[str, str]()
        self._unreported = 0
        self._reported: OffloadDecision | None = None
        self._frames, self._speed = FramesWatch(c.reply_timeout), SpeedWatch()
        self._computer = ComputerWatch()
        self.strategy = None if parts.planner is None else AutoStrategy(
            parts.planner, calibration=calibration(self._artefact))
        self.pipeline = EdgePipeline(
            network=parts.network, ended=self._on_ended,
            preprocess=partial(fit_image, how=self._artefact.fit,
                               values=ValueRange(c.black, c.white)),
            send=self._send, problem=self._on_problem, strategy=self.strategy,
            late=self.strategy.observe_late if self.strategy else lambda reply: None,
            decided=self._on_decided,
            settings=EdgeSettings(
                drone=node.get_fully_qualified_name(), deadline_s=c.deadline,
                reply_timeout_s=c.reply_timeout, max_in_flight=c.max_in_flight, top_k=c.top_k,
                min_score=c.min_score))
        self._mission = MissionFollower(node, self.pipeline.set_pace)
        self.images: ImageWatch | OwnImages = (
            OwnImages(node, parts.images, self.pipeline.offer)
            if isinstance(parts.images, EdgeCamera) else
            ImageWatch(parts.images, lambda: node.get_clock().now().nanoseconds))

    def start(self) -> None:
        """Start the pipeline."""
        self._node.add_timer(MISSION_PERIOD_S, self._mission.expire)
        self._node.resources.callback(self.pipeline.stop)
        plan = self._first_plan
        self.pipeline.start(plan or Plan(self._artefact.last, codec=''))
        if plan is not None:
            self._announce(plan)
        self._tick('expiry', EXPIRE_PERIOD_S, self.pipeline.expire)
        if self.strategy is not None:
            self._tick('probes', PROBE_PERIOD_S, partial(self._probe, self.strategy))
        self.images.start()

    def _tick(self, name: str, period_s: float, tick: Callable[[], None]) -> None:
        """Have `tick` called while active, by a thread of its own: for an executor that often
        would cost more than all else that an idle drone does.
        """
        ticker = Ticker(name, period_s, tick, partial(self._on_tick_failed, name))
        self._node.resources.callback(ticker.stop)
        ticker.start()

    def _on_tick_failed(self, name: str, e: Exception) -> None:
        self._node.get_logger().error(f'{name} failed: {type(e).__name__}: {e}',
                                      throttle_duration_sec=5.0)

    def awaits_others(self) -> bool:
        """Take no more frames of its own camera; return whether one of them is under way."""
        if isinstance(self.images, ImageWatch):
            return False
        self.images.stop()
        return self.pipeline.counts.under_way > 0

    # -- the plan ---------------------------------------------------------------------------

    def replan(self, plan: Plan | None, deadline_s: float) -> None:
        """Use a new deadline, and a new plan if there is one, from the next frame on."""
        self.pipeline.set_deadline(deadline_s)
        if plan is not None and plan != self.pipeline.plan:
            self.pipeline.set_plan(plan)
            self._announce(plan)

    def _announce(self, plan: Plan) -> None:
        message = static_decision(plan, self._artefact.cut_names[plan.split],
                                  sequence=self.pipeline.counts.captured,
                                  deadline_s=self._node.config.deadline)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._report(message)

    def _on_decided(self, frame: Frame) -> None:
        assert self._parts.planner is not None
        self._report(decision_message(frame, frame.decision, self._parts.planner,
                                      self._artefact.cut_names))

    def _report(self, m: OffloadDecision) -> None:
        """Publish a decision, and log it if it differs from the one before."""
        self._parts.decisions.publish(m)
        before, self._reported = self._reported, m
        if before is None or (m.split, m.codec, m.server) != (
                before.split, before.codec, before.server):
            where = f'{m.codec} to {m.server}' if m.server else 'all on board'
            self._node.get_logger().info(f'split {m.split} ({m.split_name}), {where}: {m.reason}')

    # -- frames, servers, meter -------------------------------------------------------------

    def on_image(self, message: Image | CompressedImage, info: dict[str, Any]) -> None:
        """Offer an image that came by topic to the pipeline."""
        assert isinstance(self.images, ImageWatch)
        message.header.frame_id = text(message.header.frame_id)  # goes a long way
        self.pipeline.offer(message.header, message)
        self.images.observe(message, info)

    def on_frame(self, header: Header, frame: CameraImage) -> None:
        """Take a frame of the node's own camera, in the thread of its source."""
        assert isinstance(self.images, OwnImages)
        self.images.take(header, frame)

    def on_reply(self, message: RemoteResult) -> None:
        """Take a server's reply to a frame or to a probe."""
        if message.status != Status.PROBE:
            try:
                reply = reply_of(message, self._artefact)
            except (IncomingError, DecodeError) as e:
                self._node.border.ignore(REPLIES, e)
                return
            self.pipeline.reply(reply)
        elif self.strategy is not None:
            self.strategy.observe_probe(message.nonce, message.server, message.server_total)

    def on_status(self, server: str, message: ServerStatus) -> None:
        """Take what a server reports of its load."""
        if self.strategy is None:
            return
        try:
            self.strategy.observe_server(server_report(server, message),
                                         digest=message.model_digest)
        except PlanError as e:
            self._node.get_logger().warning(str(e), throttle_duration_sec=10.0)

    def on_beat(self, server: str, message: ServerBeat, info: dict[str, Any]) -> None:
        """Take a server's backlog, and when the middleware received it."""
        if self.strategy is not None:
            self.strategy.observe_backlog(
                server, age_s(info['received_timestamp'], time.time_ns()), message.expected_wait)

    def on_energy(self, message: FrameEnergy) -> None:
        """Take the metered energy of a frame, unless its uncertainty exceeds it."""
        active_j = message.energy - message.idle_energy
        # A slow meter cannot always distinguish frames; uncertain energies must not be learned.
        if self.strategy is not None and message.uncertainty < active_j:
            self.strategy.observe_energy(message.header, message.sequence, active_j)

    def _send(self, packet: FeaturePacket, server: str) -> bool:
        """Publish a tensor; the radio of an emulated computer is on until its frame has ended."""
        if isinstance(network := self._parts.network, EmulatedNetwork):
            # First: its reply may come before the other returns.
            network.sent(packet.sequence, MESSAGE_BYTES + len(packet.data))
        return self._parts.servers.send(packet, server)

    def _on_ended(self, ended: Ended) -> None:
        if isinstance(network := self._parts.network, EmulatedNetwork):
            network.ended(ended.frame.sequence)
        if ended.result is not None:
            self._publish_result(ended, ended.result)
        self._parts.latencies.publish(latency_message(ended))
        if self.strategy is not None:
            self.strategy.observe_end(ended)

    def _publish_result(self, ended: Ended, result: Result) -> None:
        drone, details = self._node.get_fully_qualified_name(), self._parts.details
        self._parts.results.publish(result_message(ended, self._artefact, drone))
        if details is None:
            return
        if result.kind == DETECTION:
            details.publish(detections_message(ended.frame, result, self._artefact, drone))
        elif result.kind == SEGMENTATION:
            details.publish(class_map_message(ended.frame, result))
        else:
            details.publish(outputs_message(ended.frame, result, self._artefact, drone))

    def _on_problem(self, reason: str, why: str) -> None:
        with self._problem_lock:
            self._problems[str(reason)] = why
            self._unreported += reason == REPORTING_FAILED
        self._node.get_logger().warning(f'{reason}: {why}', throttle_duration_sec=5.0)

    def _probe(self, strategy: AutoStrategy) -> None:
        """Send a probe if the planner wants one."""
        if (found := strategy.next_probe(self.pipeline.link_idle)) is not None:
            nonce, probe = found
            packet = probe_packet(nonce, probe.nbytes, header=Header(), artefact=self._artefact,
                                  drone=self._node.get_fully_qualified_name())
            if not self._parts.servers.send(packet, probe.server):
                strategy.take_back_probe(nonce)

    # -- health -----------------------------------------------------------------------------

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with images, servers, frames, layers and computer."""
        yield from guarded('images', lambda: self.images.findings(now_s))
        yield from guarded('servers', lambda: self._server_findings(now_s))
        yield from guarded('frames', lambda: self._frames.findings(
            self.pipeline.counts, self._problems, self.pipeline.plan.server or 'the server',
            now_s, self._unreported))
        yield from guarded('computer', lambda: self._computer.findings(now_s))
        yield from guarded('layers', self._layer_findings)

    def _server_findings(self, now_s: float) -> Iterator[Finding]:
        plan, planner, servers = self.pipeline.plan, self._parts.planner, self._parts.servers
        names = servers.names if planner else (plan.server,) if plan.server else ()
        return servers_findings({n: servers.problem(n, now_s) for n in names},
                                lost=planner.lost if planner else (), local=bool(planner),
                                backing_off=planner.backing_off(now_s) if planner else {})

    def _layer_findings(self) -> Iterator[Finding]:
        network, compiled = self._parts.network, self._parts.compiled
        if self._parts.planner:
            yield from self._speed.findings(self._parts.planner.slowdown)
        yield from network_findings(
            network.trouble, network.choice.fallback, self._artefact.trained,
            compiled.streamed_bytes(self.pipeline.plan.split) if compiled else 0,
            self._artefact.doubt)

    def values(self) -> dict[str, Any]:
        """Return the counts, the runtime and what went wrong last."""
        counts, plan, artefact = self.pipeline.counts, self.pipeline.plan, self._artefact
        return {
            'split': f'{plan.split} ({artefact.cut_names[plan.split]})',
            'model': artefact.name, 'weights': artefact.weights, 'fit': artefact.fit,
            **self.images.values(),
            'emulates': self._node.config.emulate,
            'runtime': self._parts.network.describe(), 'captured': counts.captured,
            'remote': counts.remote, 'local': counts.local, 'dropped': counts.dropped,
            'under way': counts.under_way, 'unexpected replies': counts.unexpected_replies,
            'foreign replies': counts.foreign_replies,
            'mission policy': self._mission.policy or 'none',
            **{f'dropped: {reason}': n for reason, n in counts.reasons.items()},
            **{f'last {reason}': why for reason, why in dict(self._problems).items()},
            **guarded_values('computer', self._computer.values)}
