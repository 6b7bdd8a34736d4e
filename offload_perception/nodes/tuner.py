"""Change and read parameters of a running drone, as the command `tune` and the live page do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from rcl_interfaces.msg import ParameterValue
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.task import Future

from offload_perception.bringup.tuning import TUNABLE, parse
from offload_perception.errors import TuningError
from offload_perception.incoming import text
from offload_perception.live.fleet_state import FleetState
from offload_perception.nodes.listening import spinning
from offload_perception.nodes.managed import AnyManagedNode

TIMEOUT_S, ASK_AGAIN_S = 5.0, 1.0


class Tuner:
    """Sets the parameters of the edge node in a namespace.

    `node` must be spun by another thread than the caller's: the calls wait for answers. They may
    come from several threads.
    """

    def __init__(self, node: Node, namespace: str) -> None:
        self.target = f'/{namespace.strip("/")}/edge_inference'.replace('//', '/')
        self._client = AsyncParameterClient(node, self.target)

    def set(self, name: str, text: str, timeout_s: float = TIMEOUT_S) -> str | float:
        """Set a parameter to what `text` stands for, and return that value.

        :raises ConfigError: if the parameter does not take it; the node is not asked then.
        :raises TuningError: if the node refuses, with its reason, or does not answer.
        """
        value = parse(name, text)
        result, = self._answer(self._client.set_parameters, [Parameter(name, value=value)],
                               timeout_s).results
        if not result.successful:
            raise TuningError(f'{self.target} refuses {name} {text}: {result.reason}')
        return value

    def values(self, timeout_s: float = TIMEOUT_S) -> dict[str, str | float]:
        """Return the parameters that may change in flight, with their values.

        :raises TuningError: if the node does not answer.
        """
        found: list[ParameterValue] = self._answer(
            self._client.get_parameters, list(TUNABLE), timeout_s).values
        return dict(zip(TUNABLE, map(parameter_value_to_python, found), strict=True))

    def _answer(self, call: Any, argument: list[Any], timeout_s: float) -> Any:
        """Return the answer of a service; the future wakes this thread from the node's.

        It is asked again every second: an answer is lost if the drone has not discovered this
        client's end of the service yet.
        """
        give_up_s = time.monotonic() + timeout_s
        done, asked = Event(), list[Future]()
        ready = self._client.wait_for_services(timeout_s)
        while ready and (left_s := give_up_s - time.monotonic()) > 0.0:
            asked.append(call(argument))
            asked[-1].add_done_callback(lambda _: done.set())
            if done.wait(min(left_s, ASK_AGAIN_S)):
                return next(future for future in asked if future.done()).result()
        raise TuningError(f'{self.target} does not answer within {timeout_s:g} s; does a drone '
                          'fly in that namespace, and with this ROS_DOMAIN_ID?')


class Tuners:
    """Changes any drone of a fleet, each through a Tuner that is made when it is first asked."""

    def __init__(self, node: AnyManagedNode, fleet: FleetState) -> None:
        self._node, self._fleet = node, fleet
        self._tuners: dict[str, Tuner] = {}

    def values(self, drone: str) -> dict[str, str | float]:
        """Return the parameters of a drone that may change in flight; raises as Tuner does."""
        return self._of(drone).values()

    def set(self, drone: str, name: str, value: str) -> str | float:
        """Set a parameter of a drone, and return its new value; raises as Tuner does."""
        return self._of(drone).set(name, value)

    def _of(self, drone: str) -> Tuner:
        if drone not in self._fleet.drones and drone != self._fleet.own.drone:
            raise TuningError(f'no drone flies in {text(drone)}')
        if drone not in self._tuners:
            self._tuners[drone] = self._node.on_loop(lambda: Tuner(self._node, drone))
        return self._tuners[drone]


@contextmanager
def tuning(namespace: str) -> Iterator[Tuner]:
    """Yield a tuner of the drone in `namespace`, with a node of its own."""
    with spinning(lambda: Node('tune', start_parameter_services=False)) as node:
        yield Tuner(node, namespace)
