"""Activate nodes that wait for it (`stay_inactive`), when all that they need is there."""

from threading import Event
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.node import Node

ANSWER_S = 1.0


class Activator:
    """Asks the lifecycle services of other nodes.

    An answer shows that both ends have discovered each other, topics included: a telemetry
    subscription of `node` misses nothing of a node that it has activated.

    `node` must be spun by another thread than the caller's: the calls wait for answers.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._clients: dict[str, Client] = {}

    def activated(self, name: str) -> bool:
        """Return whether a node is active, and activate it if it is inactive; ask again later.

        :param name: fully qualified.
        """
        found = self._ask(GetState, f'{name}/get_state', GetState.Request())
        state = State.PRIMARY_STATE_UNKNOWN if found is None else found.current_state.id
        if state == State.PRIMARY_STATE_INACTIVE:
            self._ask(ChangeState, f'{name}/change_state', ChangeState.Request(
                transition=Transition(id=Transition.TRANSITION_ACTIVATE)))
        return bool(state == State.PRIMARY_STATE_ACTIVE)

    def _ask(self, kind: type, service: str, request: Any) -> Any:
        """Return the answer, None if there is none yet."""
        if service not in self._clients:
            self._clients[service] = self._node.create_client(kind, service)
        client, done = self._clients[service], Event()
        if not client.service_is_ready():
            return None
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if done.wait(ANSWER_S):
            return future.result()
        client.remove_pending_request(future)
        return None
