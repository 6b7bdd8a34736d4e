"""The drone's node: images in, tensors out to a server, results and telemetry out."""

from dataclasses import replace
from typing import Any

from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import Image
from std_msgs.msg import Float64

from offload_perception.bringup.config import EdgeConfig
from offload_perception.codec.calibration import check
from offload_perception.codec.registry import check_name
from offload_perception.errors import ConfigError
from offload_perception.frames import REPLIES, reply_topic
from offload_perception.imaging.encodings import ValueRange
from offload_perception.msg import (
    Classification,
    Detections,
    FrameEnergy,
    FrameLatency,
    OffloadDecision,
    OutputTensors,
    RemoteResult,
)
from offload_perception.network.artefact import Artefact
from offload_perception.network.output_meaning import DETECTION, SEGMENTATION, TENSORS
from offload_perception.network.shape import NetworkShape
from offload_perception.nodes import qos
from offload_perception.nodes.edge_session import EdgeParts, EdgeSession
from offload_perception.nodes.image_feed import ImageFeed
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.model import load_artefact, load_network
from offload_perception.nodes.namesakes import refuse_namesake
from offload_perception.nodes.own_camera import OwnCamera
from offload_perception.nodes.own_images import EdgeCamera, add_image_publisher
from offload_perception.nodes.running import main_of
from offload_perception.nodes.servers import AUTO, Servers, namespaces
from offload_perception.pipeline.plan import Plan
from offload_perception.pipeline.planner_setup import (
    ProfileChoice,
    compile_report,
    planning_session,
)
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.session import PlanningSession
from offload_perception.profiles import device_profile
from offload_perception.profiles.scaling import for_network
from offload_perception.runtime.emulated import EmulatedNetwork
from offload_perception.runtime.loaded_network import LoadedNetwork


class EdgeInferenceNode(ManagedNode[EdgeConfig, EdgeSession]):
    """Loads the network and the planner, creates the topics; `EdgeSession` does the rest."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('edge_inference', EdgeConfig, **kwargs)
        self._camera = OwnCamera(self)

    # -- lifecycle --------------------------------------------------------------------------

    def load(self) -> None:
        """Load the model, and make the planner or merge the layers of the cut."""
        c = self.config
        namespaces(c.server)  # refuse wrong names before loading
        ValueRange(c.black, c.white)  # and a wrong range
        if c.source:
            self._camera.check()
        artefact = load_artefact(self, c)
        plan = _static_plan(c, artefact)  # refuse a wrong split or codec before loading
        network = load_network(self, c, artefact)
        self.resources.callback(network.close)
        self._network = self._emulated(c, network)
        self._compiled = compile_report(network)
        if plan is None:
            self.progress('timing the layers for the planner')
        else:
            self.progress(f'merging the layers around cut {plan.split}')
            self._network.prepare(plan.split)
        self._planner = self._make_planner(c) if plan is None else None
        refuse_namesake(self)  # last: by now a namesake has been discovered

    def _emulated(self, c: EdgeConfig, network: LoadedNetwork) -> LoadedNetwork:
        """Return the network, emulating another computer if the parameters say so."""
        if not c.emulate:
            return network
        device = for_network(device_profile.load(c.emulate).with_radio(c.radio),
                             NetworkShape.of(network.artefact))
        power = self.on_loop(lambda: self.create_publisher(Float64, 'emulated_power',
                                                           qos.LATCHED))
        self.resources.callback(self.destroy_publisher, power)
        emulated = EmulatedNetwork(network, device,
                                   lambda watts: power.publish(Float64(data=watts)))
        self.resources.callback(emulated.close)
        self.get_logger().warning(emulated.describe())
        return emulated

    def _make_planner(self, c: EdgeConfig) -> PlanningSession:
        planner = planning_session(
            self._network, ProfileChoice(c.profile, c.active_power, c.radio_power, c.radio),
            PlannerSettings(late_price=c.late_price, agreement_floor=c.agreement_floor,
                            max_in_flight=c.max_in_flight), self._compiled)
        self.get_logger().info(f'planning with profile {planner.profile.name}: '
                               f'{planner.profile.origin}; radio: '
                               f'{planner.profile.radio.source}')
        return planner

    def configure(self) -> None:
        """Create the topics."""
        c = self.config
        replies = self.add_subscription(
            RemoteResult, REPLIES, self.to_session(EdgeSession.on_reply), qos.RESULTS,
            lane=True)
        self._refuse_unanswered(replies.topic_name)
        self.add_subscription(FrameEnergy, 'frame_energy',
                              self.to_session(EdgeSession.on_energy), qos.TELEMETRY)
        self._feed = None if c.source else ImageFeed(
            self, transport=c.transport, reliability=c.image_reliability,
            take=self.to_session(EdgeSession.on_image))
        if c.source:
            self._camera.open(self.to_session(EdgeSession.on_frame))
        self._parts = EdgeParts(
            network=self._network, planner=self._planner, compiled=self._compiled,
            servers=Servers(
                self, namespaces(c.server), depth=c.max_in_flight,
                on_status=self.to_session(EdgeSession.on_status),
                on_beat=self.to_session(EdgeSession.on_beat) if self._planner else None),
            images=self._feed or EdgeCamera(self._camera, add_image_publisher(self, c.preview)),
            results=self.add_publisher(Classification, 'classification', qos.RESULTS),
            details=self._detail_publisher(),
            latencies=self.add_publisher(FrameLatency, 'frame_latency', qos.ENDS),
            decisions=self.add_publisher(OffloadDecision, 'offload_decision', qos.LATCHED))

    def _detail_publisher(self) -> LifecyclePublisher | None:
        """Return the publisher of what a list of labels cannot hold, None for a classifier."""
        topics = {DETECTION: (Detections, 'detections'), SEGMENTATION: (Image, 'class_map'),
                  TENSORS: (OutputTensors, 'outputs')}
        kind = self._network.artefact.meaning.kind
        return self.add_publisher(*topics[kind], qos.RESULTS) if kind in topics else None

    def _refuse_unanswered(self, topic: str) -> None:
        """Refuse a remapped topic of replies: servers derive it from the node's name."""
        if topic != (answered := reply_topic(self.get_fully_qualified_name())):
            raise ConfigError(f'{REPLIES} is remapped to {topic}, but servers answer on '
                              f'{answered}: give the node another namespace instead')

    def activate(self) -> EdgeSession:
        """Start the pipeline."""
        return EdgeSession(self, self._parts, _static_plan(self.config, self._network.artefact))

    # -- parameters -------------------------------------------------------------------------

    def verify(self, changes: dict[str, Any]) -> None:
        """Refuse an unknown split, or a codec that cannot take the tensor there."""
        plan = _static_plan(replace(self.config, **changes), self._network.artefact)
        if (plan is None) != (self._planner is not None):
            raise ConfigError(f'split {AUTO} cannot be switched on or off in flight; deactivate '
                              'and clean the node up first')

    def reconfigure(self, changes: dict[str, Any]) -> None:
        """Use a new split, codec or deadline from the next frame on."""
        if self.session is not None:
            self.session.replan(_static_plan(self.config, self._network.artefact),
                                self.config.deadline)

    def qos_remedy(self, topic: str) -> str:
        """Return how to fit a camera's QoS."""
        return self._feed.qos_remedy(topic) if self._feed else ''

    def awaits_others(self) -> bool:
        """Return whether servers may still answer frames of its own camera, which ends now."""
        return self.session is not None and self.session.awaits_others()


def _static_plan(c: EdgeConfig, artefact: Artefact) -> Plan | None:
    """Return the plan of the parameters; None if the planner chooses.

    :raises CutError, ConfigError: if there is no such cut, or the codec does not fit it.
    """
    check_name(c.codec)
    if c.split == AUTO:
        return None
    split = artefact.cut(c.split)
    if split == artefact.last:
        return Plan(split, codec='')
    check(c.codec, artefact, split)
    servers = namespaces(c.server)
    if not servers:
        raise ConfigError(f'server {AUTO} needs split {AUTO}, which chooses among the servers '
                          'that are found; name a server for a fixed cut')
    return Plan(split, codec=c.codec, server=servers[0])


main = main_of(EdgeInferenceNode)
