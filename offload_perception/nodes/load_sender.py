"""Simulated drones that load a server, for the command fleet_load; not a part of the graph."""

import time
from functools import partial
from threading import Event
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Header

from offload_perception.errors import OffloadError
from offload_perception.frames import Status, reply_topic
from offload_perception.load_test.in_process import drone_names, send_on_time
from offload_perception.load_test.load_plan import Arrival, LoadPlan
from offload_perception.load_test.tally import Answer, LoadReport, Tally
from offload_perception.load_test.tensors import Tensors
from offload_perception.msg import FeatureTensor, RemoteResult
from offload_perception.nodes import qos
from offload_perception.nodes.border import Border
from offload_perception.nodes.convert import feature_message
from offload_perception.nodes.listening import spinning
from offload_perception.nodes.servers import namespaces

_DEPTH = 16  # of each drone's tensors in the middleware


class LoadSender(Node):
    """Publishes the tensors of many drones, each on a publisher of its own, and takes replies."""

    def __init__(self, plan: LoadPlan, tensors: Tensors, server: str, name: str) -> None:
        super().__init__('fleet_load', namespace=f'/{name}')
        self._tensors = tensors
        self._names = [f'/{name}{drone}' for drone in drone_names(plan.drones)]
        self._arrivals = plan.arrivals()
        self._tally = Tally(self._arrivals, self._names)
        self._sent_s: dict[int, float] = {}
        border, topic = Border(self), f'{namespaces(server)[0]}/features'
        self._drones = [self.create_publisher(FeatureTensor, topic, qos.features(_DEPTH))
                        for _ in self._names]
        for number, drone in enumerate(self._names):
            self.create_subscription(
                RemoteResult, reply_topic(drone), border.checked(
                    RemoteResult, reply_topic(drone), partial(self._on_reply, number)),
                qos.RESULTS)

    def wait_for_server(self, timeout_s: float) -> None:
        """Wait until a server takes what each drone sends.

        :raises OffloadError: if none does in time.
        """
        pause, end_s = Event(), time.monotonic() + timeout_s
        while not all(p.get_subscription_count() for p in self._drones):
            if time.monotonic() > end_s:
                raise OffloadError(f'no server takes {self._drones[0].topic_name}; start one, or '
                                   'name another with --server')
            pause.wait(0.05)

    def run(self, answer_s: float) -> LoadReport:
        """Send all tensors at their times, and wait `answer_s` at most for the last answers."""
        started_s = time.monotonic()
        send_on_time(self._arrivals, self._send)
        self._tally.wait(answer_s)
        return self._tally.report(time.monotonic() - started_s)

    def _send(self, arrival: Arrival) -> None:
        header = Header(stamp=self.get_clock().now().to_msg())
        message = feature_message(
            self._tensors.packet(arrival, self._names[arrival.drone], header))
        self._sent_s[arrival.number] = time.monotonic()
        self._drones[arrival.drone].publish(message)

    def _on_reply(self, drone: int, m: Any) -> None:
        number, now_s = m.sequence, time.monotonic()
        if m.nonce == number and number in self._sent_s and m.drone == self._names[drone]:
            self._tally.add(number, Answer(
                Status(m.status), now_s - self._sent_s[number], m.server_wait, m.expected_wait,
                m.batch))


def run_load(plan: LoadPlan, tensors: Tensors, server: str, *, name: str, answer_s: float,
             discovery_s: float) -> LoadReport:
    """Load a running server, and return how it copes.

    :param name: namespace of the simulated drones.
    :raises OffloadError: if there is no server.
    """
    with spinning(lambda: LoadSender(plan, tensors, server, name)) as node:
        node.wait_for_server(discovery_s)
        return node.run(answer_s)
