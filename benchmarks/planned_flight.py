"""What the benchmarks of planned flights share: the graph with split auto, and its telemetry."""

import argparse
import threading
import time
from collections.abc import Callable
from typing import Any

import common
import rclpy
from offload_perception.msg import FrameEnergy, FrameLatency, OffloadDecision
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from offload_perception.bringup.graph import DRONE
from offload_perception.bringup.process_runner import GraphRunner, parse_arguments
from offload_perception.errors import OffloadError
from offload_perception.nodes import qos
from offload_perception.nodes.executor import ThreadExecutor

START_TIMEOUT_S = 900.0


def demo_parser(doc: str, *, camera: bool = False) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks of planned flights have.

    :param camera: with those of frames that are due.
    """
    p = argparse.ArgumentParser(description=doc,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--verbose', action='store_true', help='show the output of the nodes')
    p.add_argument('--json', metavar='FILE')
    if camera:
        p.add_argument('--deadline', type=float, default=1.0, help='of each frame [s]')
        p.add_argument('--rate', type=float, default=1.5, help='of the camera [Hz]')
    return p


def parse(p: argparse.ArgumentParser, argv: Any) -> argparse.Namespace:
    """Return the arguments, of which those that are left over are the demo's."""
    p.add_argument('arguments', nargs='*', metavar='name:=value', help='of the demo')
    return common.parse(p, argv)


class Telemetry:
    """Collects what a drone says of its frames; a context manager.

    Each entry of `decisions`, `frames` and `energies` is a message; `came_s` has the monotonic
    time at which that of each frame in `frames` came.
    """

    def __init__(self, namespace: str) -> None:
        self._context = Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node('telemetry', namespace=namespace, context=self._context)
        self.decisions: list[OffloadDecision] = []
        self.frames: list[FrameLatency] = []
        self.came_s: list[float] = []
        self.energies: list[FrameEnergy] = []
        self._changed = threading.Condition()
        for kind, topic, take in ((OffloadDecision, 'offload_decision', self.decisions.append),
                                  (FrameLatency, 'frame_latency', self._take_frame),
                                  (FrameEnergy, 'frame_energy', self.energies.append)):
            self._node.create_subscription(kind, topic, self._taking(take), qos.TELEMETRY)
        self._executor = ThreadExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def _taking(self, take: Callable[[Any], None]) -> Callable[[Any], None]:
        def taken(message: Any) -> None:
            with self._changed:
                take(message)
                self._changed.notify_all()
        return taken

    def _take_frame(self, message: FrameLatency) -> None:
        self.frames.append(message)
        self.came_s.append(time.monotonic())

    def wait_for(self, found: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """Return what `found` returns once that is true.

        :raises OffloadError: if it does not come.
        """
        with self._changed:
            result = self._changed.wait_for(found, timeout_s)
        if not result:
            raise OffloadError(f'{what} did not come within {timeout_s:.0f} s; see why with '
                               '--verbose')
        return result

    def count_subscribers(self, topic: str) -> int:
        """Return how many subscribers a topic has in the graph."""
        return int(self._node.count_subscribers(topic))

    def adds_up(self) -> bool:
        """Return whether every frame since the first reported one was reported."""
        ended = [m.remote + m.local + m.dropped for m in self.frames]
        return (max(ended) - min(ended) + 1 == len(self.frames)
                and all(m.captured >= n for m, n in zip(self.frames, ended, strict=True)))

    def __enter__(self) -> 'Telemetry':
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        self._context.try_shutdown()


def planned_graph(namespace: str, words: list[str], show: Callable[[str], None]) -> GraphRunner:
    """Return the graph of a drone with split auto, not yet started.

    :param words: more arguments of the launch file.
    """
    return GraphRunner(DRONE, parse_arguments(DRONE, [
        f'namespace:={namespace}', f'server:=/{namespace}_server', 'split:=auto', *words]),
        show=show)


def wait_for_first(telemetry: Telemetry, graph: GraphRunner) -> None:
    """Return once frames end; raises OffloadError if a node has ended instead."""
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while not telemetry.frames:
        if dead := graph.dead():
            raise OffloadError(f'{dead[0]} ended with code {dead[1]}; see why with --verbose')
        if time.monotonic() > give_up_s:
            raise OffloadError(f'no frame within {START_TIMEOUT_S:.0f} s; see why with --verbose')
        threading.Event().wait(0.1)
