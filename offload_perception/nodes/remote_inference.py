"""The server's node: tensors in from any number of drones, results out to each."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from rclpy.lifecycle import LifecyclePublisher
from std_msgs.msg import Header

from offload_perception.bringup.config import RemoteConfig
from offload_perception.errors import ConfigError
from offload_perception.frames import Reply, Status, reply_topic
from offload_perception.health import Finding, error, meter_watch
from offload_perception.health.computer import ComputerWatch
from offload_perception.health.guard import guarded, guarded_values
from offload_perception.health.layers import network_findings
from offload_perception.health.server_watch import ServerWatch
from offload_perception.health.trend import Lasting
from offload_perception.msg import (
    FeatureTensor,
    ServedDrone,
    ServedDrones,
    ServerBeat,
    ServerStatus,
)
from offload_perception.network.artefact import Artefact
from offload_perception.network.batch_sizes import MOST
from offload_perception.network.runnable import ServedNetwork
from offload_perception.nodes import qos
from offload_perception.nodes.convert import packet_of, reply_message
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.metering import log_event
from offload_perception.nodes.model import load_artefact, load_network
from offload_perception.nodes.replies import ReplyPublishers
from offload_perception.nodes.running import main_of
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.power_sources import open_power_source
from offload_perception.power.drivers.sysfs import SYSFS
from offload_perception.runtime.batched import BatchedTails
from offload_perception.runtime.keras_tail import KerasTail
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.serving.fair_shares import weights_of
from offload_perception.serving.ray_pipeline import RayPipeline
from offload_perception.serving.ray_tails import RayTails
from offload_perception.serving.replicas import Replicas, ReplicaSettings
from offload_perception.serving.senders import Senders
from offload_perception.serving.server_load import Load
from offload_perception.serving.server_pipeline import ServerPipeline, ServerSettings
from offload_perception.serving.server_power import PeriodPower, ServerPower
from offload_perception.serving.tail_pipeline import TailPipeline
from offload_perception.ticker import Ticker

SPARE_DEPTH = 16  # beyond the queue, so that excess tensors are refused and not lost in DDS
STATUS_GAP_S = 0.5  # between two statuses at least: links are slow
_NEWS_S, _NEWS = 0.02, 0.5  # a change of the wait that is worth a status: this, and this share


class _Published(NamedTuple):
    """What the last status said, and when it was."""

    wait_s: float
    rejected: int
    at_s: float

    def is_outdated(self, wait_s: float, rejected: int) -> bool:
        change_s = abs(wait_s - self.wait_s)
        return change_s > max(_NEWS_S, _NEWS * self.wait_s) or (
            rejected > 0 and self.rejected == 0)


def _rejected(replies: Counter[Status]) -> int:
    return replies[Status.BUSY] + replies[Status.LATE] + replies[Status.FAILED]


@dataclass(frozen=True)
class TailParts:
    """What an activation works with, made when the node was configured."""

    network: LoadedNetwork | KerasTail | RayTails
    make_pipeline: Callable[..., ServerPipeline]
    shares: dict[str, float]
    replies: ReplyPublishers
    statuses: LifecyclePublisher
    beats: LifecyclePublisher
    served: LifecyclePublisher
    features_topic: str
    open_meter: Callable[[], PowerMeter] | None
    power_source: str


class TailSession(Session):
    """One activation: wires tensors and replies to a ServerPipeline."""

    def __init__(self, node: 'RemoteInferenceNode', parts: TailParts) -> None:
        c = node.config
        self._node, self._parts = node, parts
        self._artefact: Artefact = parts.network.artefact
        self.senders, self._refusals = Senders(), dict[Status, str]()
        self._watch, self._computer = ServerWatch(c.queue_limit), ComputerWatch()
        self._doubled = Lasting(qos.GHOST_S)
        self._had_backlog = False
        self._published = _Published(inf, 0, -inf)
        self._power = parts.open_meter and ServerPower(
            parts.open_meter, partial(log_event, node, parts.power_source))
        self.pipeline = parts.make_pipeline(
            reply=self._on_reply,
            settings=ServerSettings(name=node.get_namespace(), top_k=c.top_k,
                                    min_score=c.min_score, queue_limit=c.queue_limit,
                                    batch=c.batch, shares=parts.shares))

    def start(self) -> None:
        """Start to serve."""
        node, c = self._node, self._node.config
        node.resources.callback(self._publish_all)  # the last, after what waited is answered
        node.resources.callback(self.pipeline.stop)
        self.pipeline.start()
        if self._power is not None:
            node.resources.callback(self._power.stop)
            self._power.start()
        node.add_timer(c.status_period, self._publish_all)
        self._publish_all()
        if c.beat_period:  # not a timer: other callbacks would delay it
            beats = Ticker('beats', c.beat_period, self._publish_beat, self._on_beat_failed)
            node.resources.callback(beats.stop)
            beats.start()
        node.get_logger().info(f'serving {self._parts.features_topic}')

    # -- tensors ----------------------------------------------------------------------------

    def on_features(self, message: FeatureTensor, info: dict[str, Any]) -> None:
        """Have the tail of a tensor computed."""
        self.senders.count(message.drone, info['publication_sequence_number'])
        self.pipeline.submit(packet_of(message))

    def _on_reply(self, reply: Reply) -> None:
        if reply.status not in (Status.OK, Status.PROBE):
            self._refusals[reply.status] = f'{reply.packet.drone}: {reply.message}'
            self._node.get_logger().warning(
                f'{reply.packet.drone}: {reply.status.name.lower()}: {reply.message}',
                throttle_duration_sec=5.0)
        self._parts.replies.publish(reply_topic(reply.packet.drone),
                                    reply_message(reply, self._artefact))

    # -- status -----------------------------------------------------------------------------

    def _publish_all(self) -> None:
        self._publish_status(self.pipeline.current_load())
        self._publish_served()

    def _publish_status(self, load: Load) -> None:
        pipeline, artefact = self.pipeline, self._artefact
        counts = pipeline.counts
        self._published = _Published(load.expected_wait_s, _rejected(counts.replies),
                                     time.monotonic())
        power = (self._power.period(counts.replies[Status.OK]) if self._power is not None
                 else PeriodPower())
        self._parts.statuses.publish(ServerStatus(
            header=Header(stamp=self._node.get_clock().now().to_msg()),
            server=self._node.get_namespace(),
            features_topic=self._parts.features_topic, model=artefact.name,
            model_digest=artefact.digest, runtime=pipeline.ran,
            device=pipeline.ran_on, expected_wait=load.expected_wait_s,
            utilisation=load.utilisation, arrival_rate=load.arrival_rate,
            expected_waits=load.expected_waits_s, queue_length=load.queue_length,
            batch=pipeline.most, batches=counts.batches, tail_times=load.tail_times_s,
            received=counts.received, completed=counts.replies[Status.OK],
            refused=counts.replies[Status.REFUSED], busy=counts.replies[Status.BUSY],
            late=counts.replies[Status.LATE], failed=counts.replies[Status.FAILED],
            lost=self.senders.lost, power_source=self._parts.power_source, power=power.power_w,
            frame_energy=power.frame_j))

    def _publish_served(self) -> None:
        """Publish what was done for each drone; nobody need listen."""
        drones, waiting = self.pipeline.drones()
        self._parts.served.publish(ServedDrones(
            header=Header(stamp=self._node.get_clock().now().to_msg()),
            server=self._node.get_namespace(), drones=[ServedDrone(
                drone=name, share=d.share, queue_length=waiting[name], received=d.received,
                completed=d.replies[Status.OK], refused=d.replies[Status.REFUSED],
                busy=d.replies[Status.BUSY], late=d.replies[Status.LATE],
                failed=d.replies[Status.FAILED]) for name, d in drones.items()]))

    def _publish_beat(self) -> None:
        """Publish the backlog while there is one, and once when it is gone.

        The status, too, if drones would now choose otherwise than by the last one.
        """
        backlog_s = self.pipeline.backlog_s()
        if backlog_s or self._had_backlog:
            self._parts.beats.publish(ServerBeat(expected_wait=backlog_s))
        self._had_backlog = backlog_s > 0.0
        if time.monotonic() - self._published.at_s >= STATUS_GAP_S:
            load = self.pipeline.current_load()
            if self._published.is_outdated(load.expected_wait_s,
                                           _rejected(self.pipeline.counts.replies)):
                self._publish_status(load)

    def _on_beat_failed(self, e: Exception) -> None:
        self._node.get_logger().error(f'a beat was not sent: {type(e).__name__}: {e}',
                                      throttle_duration_sec=5.0)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with load, replies, layers and computer."""
        yield from guarded('servers', lambda: self._other_servers(now_s))
        yield from guarded('load', lambda: self._watch.findings(
            self.pipeline.current_load(), self.pipeline.counts.replies, self._parts.replies.lost,
            self._refusals, now_s, self.senders.lost, self.senders.sent))
        yield from guarded('computer', lambda: self._computer.findings(now_s))
        if self._power is not None:
            status = self._power.status
            yield from guarded('meter', lambda: meter_watch.link_findings(status))
        network = self._parts.network
        yield from guarded('layers', lambda: network_findings(
            network.trouble, network.choice.fallback, self._artefact.trained,
            doubt=self._artefact.doubt))

    def _other_servers(self, now_s: float) -> Iterator[Finding]:
        problem = self._node.second_server(own=1)  # discovery can take longer than the start
        if self._doubled.update(bool(problem), now_s):
            yield error('servers', problem)

    def values(self) -> dict[str, Any]:
        """Return load and counts."""
        load, counts = self.pipeline.current_load(), self.pipeline.counts
        return {'model': self._artefact.name, 'weights': self._artefact.weights,
                'runtime': self._parts.network.describe(),
                'utilisation': f'{load.utilisation:.2f}', 'queue': load.queue_length,
                'received': counts.received, 'overwritten': self.senders.lost,
                'lost replies': self._parts.replies.lost,
                **{s.name.lower(): counts.replies[s] for s in Status},
                **guarded_values('computer', self._computer.values)}


class RemoteInferenceNode(ManagedNode[RemoteConfig, TailSession]):
    """Loads the network and creates the topics; `TailSession` does the rest.

    :param sysfs: folder of the kernel's files; tests pass their own.
    """

    def __init__(self, *, sysfs: Path = SYSFS, **kwargs: Any) -> None:
        super().__init__('remote_inference', RemoteConfig, **kwargs)
        self._sysfs = sysfs

    def load(self) -> None:
        """Look for the power meter, load the model, and look for another server."""
        self._open_meter, self._power_source = self._find_meter(self.config.power_source)
        self._shares = weights_of(self.config.shares)
        self._network, self._make_pipeline = self._load_tails(load_artefact(self, self.config))
        self._refuse_second_server()

    def configure(self) -> None:
        """Create the topics."""
        features = self.add_subscription(
            FeatureTensor, 'features', self.to_session(TailSession.on_features),
            qos.features(self.config.queue_limit + SPARE_DEPTH), lane=True)
        replies = ReplyPublishers(self)
        self.resources.callback(replies.close)
        self._parts = TailParts(
            network=self._network, make_pipeline=self._make_pipeline, shares=self._shares,
            replies=replies,
            statuses=self.add_publisher(ServerStatus, 'status', qos.LATCHED),
            beats=self.add_publisher(ServerBeat, 'beat', qos.BEAT),
            served=self.add_publisher(ServedDrones, 'served', qos.LATCHED),
            features_topic=features.topic_name, open_meter=self._open_meter,
            power_source=self._power_source)

    def activate(self) -> TailSession:
        """Start to serve."""
        return TailSession(self, self._parts)

    def _find_meter(self, source: str) -> tuple[Callable[[], PowerMeter] | None, str]:
        """Return what opens the server's meter, and its description; None without one."""
        if not source:
            return None, ''
        open_meter = partial(open_power_source, source, self._sysfs)
        meter = open_meter()
        meter.close()
        return open_meter, meter.description

    def _refuse_second_server(self) -> None:
        """Two servers on one topic would compute every frame twice."""
        while not (problem := self.second_server(own=0)) and (
                left_s := self.discovered_s - time.monotonic()) > 0.0:
            self.cancelled.wait(min(left_s, 0.05))
        if problem:
            raise ConfigError(problem)

    def second_server(self, own: int) -> str:
        """Return what is wrong if others than `own` nodes serve the topic, else ''."""
        topic = self.resolve_topic_name('features')
        servers = [f'{i.node_namespace.rstrip("/")}/{i.node_name}'
                   for i in self.get_subscriptions_info_by_topic(topic)
                   if i.node_name == self.get_name()]
        return '' if len(servers) <= own else (
            f'{servers[0]} serves {topic} already, so that every tensor would be computed twice; '
            'start this server in a namespace of its own (--ros-args -r __ns:=/server2)')

    def _load_tails(self, artefact: Artefact) -> tuple[LoadedNetwork | KerasTail | RayTails,
                                                       Callable[..., ServerPipeline]]:
        """Return the network, and what makes a pipeline of it."""
        if self.config.backend == 'ray':
            tails = self._on_ray(artefact)
            return tails, partial(RayPipeline, tails=tails)
        network = self._load_tail(artefact)
        self.resources.callback(network.close)
        return network, partial(TailPipeline, network=self._batched(network))

    def _on_ray(self, artefact: Artefact) -> RayTails:
        c = self.config
        tails = RayTails(
            ReplicaSettings(artefact, c.device, c.runtime, c.threads, c.batch or MOST, c.top_k,
                            c.min_score),
            Replicas.of(c.ray_replicas), name=self.get_namespace(), address=c.ray_address,
            progress=self.progress)
        self.resources.callback(tails.close)
        self.get_logger().info(f'{tails.describe()}; {tails.report.batches}')
        return tails

    def _load_tail(self, artefact: Artefact) -> LoadedNetwork | KerasTail:
        if self.config.backend == 'float32':
            tail = KerasTail(artefact, most=self.config.batch or MOST)
            for cut in range(artefact.last):
                self.progress(f'warming up tail {cut + 1} of {artefact.last}')
                tail.warm_up(cut)
            self.get_logger().info('float32 tails on TensorFlow: results are not bit for bit '
                                   'those of the int8 network')
            return tail
        return load_network(self, self.config, artefact)

    def _batched(self, network: LoadedNetwork | KerasTail) -> ServedNetwork:
        """Return the network with its last layers in batches, where that pays."""
        self.progress('timing batches of tails')
        if isinstance(network, KerasTail):
            network.measure()
            return network
        batched = BatchedTails(network, threads=self.config.threads,
                               most=self.config.batch or MOST)
        self.resources.callback(batched.close)
        self.get_logger().info(batched.finding)
        return batched


main = main_of(RemoteInferenceNode)
