"""A flood of tensors under invented names at the node of a server."""

from collections.abc import Callable

from node.world import World, tensor_of, until
from offload_perception.msg import FeatureTensor, RemoteResult

from offload_perception.frames import Status
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos
from offload_perception.nodes.remote_inference import RemoteInferenceNode
from offload_perception.serving.fair_shares import KNOWN_S
from offload_perception.serving.senders import MAX_SENDERS


def test_a_known_drone_is_served_in_a_flood_of_invented_names(
        world: World, artefact: Artefact, server: Callable[..., RemoteInferenceNode]) -> None:
    node = server(queue_limit=2 * MAX_SENDERS)  # each message of the flood reaches the queue
    tensors = world.speak(FeatureTensor, 'server/features', qos.features(2 * MAX_SENDERS))
    replies = world.hear(RemoteResult, 'remote_result', qos.RESULTS)
    message, drone = tensor_of(artefact, 14), f'{world.ns}/edge'

    def send(name: str, sequence: int) -> None:
        message.drone, message.sequence = name, sequence
        tensors.publish(message)

    shares = node.session.pipeline._schedule._shares
    send(drone, 1)
    replies.wait_for(1)
    heard_s = node.session.pipeline._clock()  # or before
    until(lambda: node.session.pipeline._clock() - heard_s > KNOWN_S)
    send(drone, 2)
    replies.wait_for(2)
    assert shares.is_known(drone)
    for n in range(MAX_SENDERS + 50):
        send(f'{world.ns}/forged{n}/edge', 3)
    send(drone, 4)
    reply = replies.wait_for(lambda m: m.sequence == 4)
    assert reply.status == Status.OK
    assert shares.is_known(drone) and not shares.is_known(f'{world.ns}/forged1/edge')
    assert len(shares._newcomers) <= MAX_SENDERS
    until(lambda: (counts := node.session.pipeline.counts).received == counts.replies.total())
