"""Bytes that Python allocates for one frame, step by step, without a network or a link.

Drone and server pipelines run in this process with the package's own conversions; recorded
tensors stand for head and tail. Each step counts the most memory that it holds at once beyond
what it was given. Out of sight are the copies inside rclpy and DDS.
"""

import threading
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from std_msgs.msg import Header

from offload_perception.errors import OffloadError
from offload_perception.frames import FeaturePacket, Reply
from offload_perception.network.artefact import Artefact
from offload_perception.nodes.convert import (
    feature_message,
    fit_image,
    image_message,
    latency_message,
    packet_of,
    reply_message,
    reply_of,
    result_message,
)
from offload_perception.pipeline.edge_pipeline import EdgePipeline
from offload_perception.pipeline.plan import EdgeSettings, Ended, Plan
from offload_perception.serving.server_pipeline import ServerSettings
from offload_perception.serving.tail_pipeline import TailPipeline
from offload_perception.tensor import Tensors

STEPS = ('drone: resize and encode', 'drone: tensor message', 'server: decode and classes',
         'server: result message', 'drone: result and latency messages')


class Recorded:
    """A network that gives back what another has computed."""

    ran = ran_on = 'recorded'
    emulated = ''

    def __init__(self, artefact: Artefact, tensors: Tensors, outputs: Tensors) -> None:
        self.artefact, self._tensors, self._outputs = artefact, tensors, outputs
        self.join, self.most = artefact.last, 1
        self.together_s: Mapping[int, float] = {}

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        """Never asked: every frame is finished by the server."""
        raise NotImplementedError

    def head(self, cut: int, image: np.ndarray) -> Tensors:
        """Return the recorded tensors."""
        return self._tensors

    def tail(self, cut: int, xs: Tensors) -> Tensors:
        """Return the recorded outputs."""
        return self._outputs

    def to_join(self, cut: int, xs: Tensors) -> Tensors:
        """Return the recorded outputs."""
        return self._outputs

    def together(self, cuts: Sequence[int], frames: Sequence[Tensors]) -> list[Tensors]:
        """Return the recorded outputs."""
        return list(frames)


class InProcess:
    """A drone and a server in one process; a frame is one chain of calls from step to step."""

    def __init__(self, network: Recorded, plan: Plan) -> None:
        self._artefact = network.artefact
        self._server = TailPipeline(network=network, settings=ServerSettings(plan.server),
                                    reply=self._reply)
        self._drone = EdgePipeline(
            network=network, settings=EdgeSettings('/drone', reply_timeout_s=1e9),
            preprocess=fit_image, send=self._send, ended=self._ended, problem=self._problem)
        self._done, self._why = threading.Event(), ''
        self._peaks: list[int] = []
        self._server.start()
        self._drone.start(plan)

    def frame(self, image: Any) -> list[int]:
        """Return the bytes of each of STEPS for one image message."""
        self._done.clear()
        self._peaks = []
        self._begin()
        self._drone.offer(image.header, image)
        if not self._done.wait(60.0) or len(self._peaks) != len(STEPS):
            raise OffloadError(f'the frame was lost between drone and server: {self._why}')
        return self._peaks

    def close(self) -> None:
        """End both pipelines."""
        self._drone.stop()
        self._server.stop()

    def _begin(self) -> None:
        tracemalloc.reset_peak()
        self._before = tracemalloc.get_traced_memory()[0]

    def _end(self) -> None:
        """End a step and begin the next."""
        self._peaks.append(tracemalloc.get_traced_memory()[1] - self._before)
        self._begin()

    def _send(self, packet: FeaturePacket, server: str) -> bool:
        self._end()
        message = feature_message(packet)
        self._end()
        self._server.submit(packet_of(message))
        return True

    def _reply(self, reply: Reply) -> None:
        self._end()
        message = reply_message(reply, self._artefact)
        self._end()
        self._drone.reply(reply_of(message, self._artefact))

    def _ended(self, ended: Ended) -> None:
        if ended.result is not None:
            result_message(ended, self._artefact, 'drone')
            latency_message(ended)
            self._end()
        self._done.set()

    def _problem(self, reason: Any, text: str) -> None:
        self._why = f'{reason}: {text}'


def allocated(artefact: Artefact, plan: Plan, rgb: np.ndarray, tensors: Tensors,
              outputs: Tensors, frames: int) -> dict[str, int]:
    """Return the median bytes of each of STEPS over `frames` frames."""
    image = image_message(rgb, Header())
    pair = InProcess(Recorded(artefact, tensors, outputs), plan)
    tracemalloc.start()
    try:
        pair.frame(image)  # what is allocated once
        peaks = [pair.frame(image) for _ in range(frames)]
    finally:
        tracemalloc.stop()
        pair.close()
    return dict(zip(STEPS, np.median(peaks, axis=0).astype(int).tolist(), strict=True))
