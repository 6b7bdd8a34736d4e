"""The server's node: tensors in from any number of drones, results out to each."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from std_msgs.msg import Header

from offload_perception.bringup.config import RemoteConfig
from offload_perception.errors import ConfigError
from offload_perception.frames import Reply, Status, reply_topic
from offload_perception.health import Finding, error
from offload_perception.health.computer import ComputerWatch
from offload_perception.health.guard import guarded, told
from offload_perception.health.layers import network_findings
from offload_perception.health.server import ServerWatch
from offload_perception.health.trend import Lasting
from offload_perception.msg import FeatureTensor, ServerBeat, ServerStatus
from offload_perception.nodes import qos
from offload_perception.nodes.convert import packet_of, reply_message
from offload_perception.nodes.executor import subscribe_in_lane
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.model import load_artefact, load_network
from offload_perception.nodes.replies import ReplyPublishers
from offload_perception.nodes.running import main_of
from offload_perception.pipeline.senders import Senders
from offload_perception.pipeline.server import ServerSettings, TailPipeline
from offload_perception.pipeline.ticker import Ticker
from offload_perception.runtime.keras_tail import KerasTail

SPARE_DEPTH = 16  # beyond the queue, so that excess tensors are refused and not lost in DDS


class RemoteInferenceNode(ManagedNode):
    """Wires tensors and replies to a TailPipeline."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('remote_inference', RemoteConfig, **kwargs)
        self._network = self._pipeline = self._replies = self._beats = None
        self._entities: list[tuple[Any, Any]] = []
        self._doubled = Lasting(qos.GHOST_S)

    # -- lifecycle --------------------------------------------------------------------------

    def load(self) -> None:
        """Load the model, and look for another server."""
        self._artefact = load_artefact(self, self.config)
        self._network = self._load_tail()
        self._refuse_second_server()

    def configure(self) -> None:
        """Create the topics."""
        self._replies = ReplyPublishers(self)
        self._status_pub = self.create_lifecycle_publisher(ServerStatus, 'status', qos.LATCHED)
        self._beat_pub = self.create_lifecycle_publisher(ServerBeat, 'beat', qos.BEAT)
        self._feature_sub = subscribe_in_lane(
            self, FeatureTensor, 'features',
            self.border.checked(FeatureTensor, 'features', self._on_features),
            qos.features(self.config.queue_limit + SPARE_DEPTH))
        self._status_timer = self.create_timer(self.config.status_period, self._publish_status)
        self._entities += [(self.destroy_lifecycle_publisher, self._status_pub),
                           (self.destroy_lifecycle_publisher, self._beat_pub),
                           (self.destroy_subscription, self._feature_sub),
                           (self.destroy_timer, self._status_timer)]

    def _refuse_second_server(self) -> None:
        """Two servers on one topic would compute every frame twice."""
        while not (problem := self._second_server(own=0)) and (
                left_s := self.discovered_s - time.monotonic()) > 0.0:
            self.cancelled.wait(min(left_s, 0.05))
        if problem:
            raise ConfigError(problem)

    def _second_server(self, own: int) -> str:
        """Return what is wrong if others than `own` nodes serve the topic, else ''."""
        topic = self.resolve_topic_name('features')
        servers = [f'{i.node_namespace.rstrip("/")}/{i.node_name}'
                   for i in self.get_subscriptions_info_by_topic(topic)
                   if i.node_name == self.get_name()]
        return '' if len(servers) <= own else (
            f'{servers[0]} serves {topic} already, so that every tensor would be computed twice; '
            'start this server in a namespace of its own (--ros-args -r __ns:=/server2)')

    def _load_tail(self) -> Any:
        if self.config.backend == 'float32':
            tail = KerasTail(self._artefact)
            for cut in range(self._artefact.last):
                self.progress(f'warming up tail {cut + 1} of {self._artefact.last}')
                tail.warm_up(cut)
            self.get_logger().info('float32 tails on TensorFlow: results are not bit for bit '
                                   'those of the int8 network')
            return tail
        return load_network(self, self.config, self._artefact)

    def activate(self) -> None:
        """Start to serve."""
        self._pipeline = TailPipeline(
            network=self._network, reply=partial(self._on_reply, self._replies),
            settings=ServerSettings(name=self.get_namespace(), top_k=self.config.top_k,
                                    queue_limit=self.config.queue_limit))
        self._senders = Senders()
        self._watch, self._computer = ServerWatch(self.config.queue_limit), ComputerWatch()
        self._refusals: dict[Status, str] = {}
        self._pipeline.start()
        if self.config.beat_period:  # not a timer: other callbacks would delay it
            self._beats = Ticker('beats', self.config.beat_period, self._publish_beat,
                                 self._on_beat_failed)
            self._beats.start()
        self.get_logger().info(f'serving {self._feature_sub.topic_name}')

    def deactivate(self) -> None:
        """Answer the queue, then stop serving."""
        if self._beats is not None:
            self._beats.stop()
            self._beats = None
        if self._pipeline is not None:
            self._pipeline.stop()
            self._publish_status()

    def release(self) -> None:
        """Give back the topics and the model."""
        self._pipeline = None
        while self._entities:
            destroy, entity = self._entities.pop()
            destroy(entity)
        if self._replies is not None:
            self._replies.close()
            self._replies = None
        if self._network is not None:
            self._network.close()
            self._network = None

    # -- tensors ----------------------------------------------------------------------------

    def _on_features(self, message: FeatureTensor, info: dict[str, Any]) -> None:
        pipeline = self._pipeline  # another thread may be releasing it
        if self.active and pipeline is not None:
            self._senders.took(message.drone, info['publication_sequence_number'])
            pipeline.submit(packet_of(message))

    def _on_reply(self, replies: ReplyPublishers, reply: Reply) -> None:
        if reply.status not in (Status.OK, Status.PROBE):
            self._refusals[reply.status] = f'{reply.packet.drone}: {reply.message}'
            self.get_logger().warning(
                f'{reply.packet.drone}: {reply.status.name.lower()}: {reply.message}',
                throttle_duration_sec=5.0)
        replies.publish(reply_topic(reply.packet.drone), reply_message(reply, self._artefact))

    # -- status -----------------------------------------------------------------------------

    def _publish_status(self) -> None:
        if not self.active:
            return
        pipeline, artefact = self._pipeline, self._artefact
        load, counts = pipeline.current_load(), pipeline.counts
        self._status_pub.publish(ServerStatus(
            header=Header(stamp=self.get_clock().now().to_msg()),
            server=self.get_namespace(),
            features_topic=self._feature_sub.topic_name, model=artefact.name,
            model_digest=artefact.digest, runtime=pipeline.ran,
            device=pipeline.ran_on, expected_wait=load.expected_wait_s,
            utilisation=load.utilisation, arrival_rate=load.arrival_rate,
            queue_length=load.queue_length, batch=1, tail_times=load.tail_times_s,
            received=counts.received, completed=counts.replies[Status.OK],
            refused=counts.replies[Status.REFUSED], busy=counts.replies[Status.BUSY],
            late=counts.replies[Status.LATE], failed=counts.replies[Status.FAILED],
            lost=self._senders.lost))

    def _publish_beat(self) -> None:
        self._beat_pub.publish(ServerBeat(
            expected_wait=self._pipeline.backlog_s(), period=self.config.beat_period,
            clock=time.monotonic()))

    def _on_beat_failed(self, e: Exception) -> None:
        self.get_logger().error(f'a beat was not sent: {type(e).__name__}: {e}',
                                throttle_duration_sec=5.0)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with load, replies, layers and computer."""
        pipeline = self._pipeline
        yield from guarded('servers', lambda: self._other_servers(now_s))
        yield from guarded('load', lambda: self._watch.findings(
            pipeline.current_load(), pipeline.counts.replies, self._replies.lost,
            self._refusals, now_s, self._senders.lost, self._senders.sent))
        yield from guarded('computer', lambda: self._computer.findings(now_s))
        yield from guarded('layers', lambda: network_findings(
            self._network.trouble, self._network.choice.fallback, self._artefact.trained,
            doubt=self._artefact.doubt))

    def _other_servers(self, now_s: float) -> Iterator[Finding]:
        problem = self._second_server(own=1)  # discovery can take longer than the start
        if self._doubled.update(bool(problem), now_s):
            yield error('servers', problem)

    def values(self) -> dict[str, Any]:
        """Return load and counts."""
        if self._pipeline is None:
            return {}
        load, counts = self._pipeline.current_load(), self._pipeline.counts
        return {'model': self._artefact.name, 'weights': self._artefact.weights,
                'runtime': self._network.describe(),
                'utilisation': f'{load.utilisation:.2f}', 'queue': load.queue_length,
                'received': counts.received, 'overwritten': self._senders.lost,
                'lost replies': self._replies.lost,
                **{s.name.lower(): counts.replies[s] for s in Status},
                **told('computer', self._computer.values)}


main = main_of(RemoteInferenceNode)
