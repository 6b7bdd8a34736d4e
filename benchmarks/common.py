"""What the benchmarks of the graph share: nodes as processes, a probe, the bare stages.

The nodes run as processes of their own, as in a flight. This process publishes the images
and subscribes to the results.
"""

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rclpy
from offload_perception.msg import Classification, FrameLatency
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from offload_perception.bringup.dds import profile_environment, stay_on_this_host
from offload_perception.bringup.graph import DRONE
from offload_perception.bringup.process_runner import GraphRunner, NodeProcess, parse_arguments
from offload_perception.camera import open_source
from offload_perception.console import progress
from offload_perception.errors import OffloadError
from offload_perception.memory import keep_large_buffers
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos
from offload_perception.nodes.convert import fit_image, image_message
from offload_perception.nodes.executor import ThreadExecutor
from offload_perception.preparation.model_source import is_model_file
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.runtime.open_network import open_network

START_TIMEOUT_S = 900.0  # preparing the full network for the first time takes minutes
RESULT_TIMEOUT_S = 30.0
STAGES = ('queue', 'preprocess', 'head', 'encode', 'link', 'server_wait', 'decode', 'tail',
          'total')


# -- the command line -----------------------------------------------------------------------


def parser(doc: str, *, frames: int, threads: int = 2) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    p = argparse.ArgumentParser(description=doc,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--model', default='vgg16')
    p.add_argument('--weights', default='seed:0')
    p.add_argument('--runtime', default='auto')
    p.add_argument('--threads', type=int, default=threads, help='of each stage')
    p.add_argument('--frames', type=int, default=frames)
    p.add_argument('--warm-up', type=int, default=10, help='frames before the measuring')
    p.add_argument('--settle', type=float, default=15.0, metavar='S',
                   help='warm up at least this long: a server merges layers for a new cut')
    p.add_argument('--verbose', action='store_true', help='show the output of the nodes')
    p.add_argument('--json', metavar='FILE')
    return p


def parse(p: argparse.ArgumentParser, argv: Any) -> argparse.Namespace:
    """Return the arguments; from now on SIGTERM ends the benchmark with all it has started."""
    args = p.parse_args(argv)
    if is_model_file(vars(args).get('model', '')):
        args.weights = 'bundled'  # it brings its own
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    stay_on_this_host()
    os.environ.update(profile_environment())  # the probe gets the settings that the nodes get
    keep_large_buffers()
    return args


def record(args: argparse.Namespace, scene: 'Scene', results: Any) -> dict[str, Any]:
    """Return what goes into the JSON file."""
    return {'machine': machine(), 'arguments': vars(args), 'model': scene.artefact.name,
            'trained': scene.artefact.trained, 'results': results}


def machine() -> dict[str, Any]:
    """Return what kind of machine this is, and how busy it was."""
    cpuinfo = Path('/proc/cpuinfo')
    names = [line.partition(':')[2].strip() for line in cpuinfo.read_text().splitlines()
             if line.startswith('model name')] if cpuinfo.exists() else []
    return {'processor': names[0] if names else platform.processor(), 'cores': os.cpu_count(),
            'memory_bytes': psutil.virtual_memory().total, 'load_average': os.getloadavg(),
            'python': platform.python_version(), 'ros': os.environ.get('ROS_DISTRO', '')}


def ms(seconds: Any, q: float = 50) -> float:
    """Return a percentile of `seconds` in milliseconds, to 10 microseconds."""
    return round(1e3 * float(np.percentile(seconds, q)), 2)


# -- what is computed -----------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A model and a picture: as the camera gives it, and as the network takes it."""

    artefact: Artefact
    rgb: np.ndarray
    image: np.ndarray


def open_scene(args: argparse.Namespace) -> Scene:
    """Return the model that the arguments name, prepared, and a photograph."""
    artefact = prepare(args.model, args.weights, progress=progress)
    rgb = open_source('photos').next().rgb
    image = np.empty(artefact.input.shape, np.uint8)
    fit_image(image_message(rgb, Header()), image, artefact.fit)
    return Scene(artefact, rgb, image)


def open_bare(args: argparse.Namespace, scene: Scene) -> LoadedNetwork:
    """Return the network as the nodes open it, to time head and tail alone."""
    return open_network(scene.artefact, 'cpu', args.runtime, args.threads)


def bare(network: LoadedNetwork, cut: int, image: np.ndarray) -> tuple[float, float]:
    """Return the seconds of head and tail alone; a cut of 0 has no head."""
    started = time.perf_counter()
    tensors = network.head(cut, image) if cut else (image,)
    middle = time.perf_counter()
    network.tail(cut, tensors)
    return middle - started, time.perf_counter() - middle


# -- the graph ------------------------------------------------------------------------------


class CommandInFlight:
    """A command of the package that flies; a context manager, which lands it as Ctrl-C does.

    :ivar log: what it has printed so far.
    :param flies: a line that matches this says that it is in flight.
    """

    def __init__(self, *words: str, flies: str, verbose: bool = False) -> None:
        self.log = ''
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)
        self._flies, self._verbose, self._flying = re.compile(flies), verbose, threading.Event()
        self._reader = threading.Thread(target=self._read)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log += line
            if self._verbose:
                progress(line.rstrip())
            if self._flies.search(line):
                self._flying.set()
        self._flying.set()

    def __enter__(self) -> 'CommandInFlight':
        """Wait until it is in flight, or has ended."""
        self._reader.start()
        self._flying.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.process.send_signal(signal.SIGINT if kind is None else signal.SIGKILL)
        self.process.wait()
        self._reader.join()


def drone_graph(args: argparse.Namespace, namespace: str, *more: str, split: str, codec: str,
                server: str) -> GraphRunner:
    """Return the graph of a drone, not yet started; frames have no deadline.

    :param more: of its arguments; without them the images come from a Probe.
    """
    values = parse_arguments(DRONE, [
        f'namespace:={namespace}', f'server:=/{server}', f'split:={split}', f'codec:={codec}',
        f'model:={args.model}', f'weights:={args.weights}', f'runtime:={args.runtime}',
        f'threads:={args.threads}', 'deadline:=0', 'camera:=false', *more])
    return GraphRunner(DRONE, values, show=shower(args))


class ScriptGraph:
    """Nodes of a script of this folder, one process a role; a context manager that ends them.

    The script takes its role as first argument, the node is named after it, and `parameters` go
    to each.
    """

    def __init__(self, args: argparse.Namespace, script: Path, roles: tuple[str, ...],
                 namespace: str, **parameters: Any) -> None:
        words = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
        self._nodes = [NodeProcess(role, [
            sys.executable, str(script), role, '--ros-args', '-r', f'__node:={role}',
            '-r', f'__ns:=/{namespace}', *words], shower(args)) for role in roles]

    def dead(self) -> tuple[str, int] | None:
        """Return name and exit code of a node that has ended by itself."""
        return next(((n.name, n.exit_code) for n in self._nodes if n.exit_code is not None), None)

    def __enter__(self) -> 'ScriptGraph':
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes:
            node.stop()


def shower(args: argparse.Namespace) -> Any:
    """Return what becomes of the nodes' output."""
    return progress if args.verbose else lambda _: None


def node_process(name: str, namespace: str) -> psutil.Process:
    """Return the process of a node that this process has started."""
    words = {f'__node:={name}', f'__ns:=/{namespace}'}
    return next(p for p in psutil.Process().children() if words <= set(p.cmdline()))


def cpu_s(processes: list[psutil.Process]) -> float:
    """Return the CPU seconds that the processes have used so far."""
    return sum(t.user + t.system for t in (p.cpu_times() for p in processes))


class Probe:
    """Publishes images as a camera does and notes when each result comes; a context manager.

    `sent` maps the stamp of each image [ns] to the monotonic seconds just before its publishing,
    `arrivals` are (stamp, seconds) of the results, `latencies` the drone's own records.
    """

    def __init__(self, namespace: str, result: type = Classification,
                 result_qos: Any = qos.RESULTS, *, sends: tuple[type, str, Any] = (
                     Image, 'image_raw', qos.CAMERA), results: str = 'classification') -> None:
        self._context = Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node('probe', namespace=namespace, context=self._context)
        self._publisher = self._node.create_publisher(*sends)
        self._node.create_subscription(result, results, self._on_result, result_qos)
        self._node.create_subscription(FrameLatency, 'frame_latency', self._on_latency,
                                       qos.TELEMETRY)
        self._came = threading.Condition()
        self.sent: dict[int, float] = {}
        self.arrivals: list[tuple[int, float]] = []
        self.latencies: list[FrameLatency] = []
        self._executor = ThreadExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> 'Probe':
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _on_result(self, message: Any) -> None:
        at_s = time.monotonic()
        with self._came:
            self.arrivals.append((self.stamp_of(message), at_s))
            self._came.notify_all()

    def stamp_of(self, result: Any) -> int:
        """Return the stamp in ns of the image that a result belongs to."""
        return stamp_ns(result.header)

    def _on_latency(self, message: FrameLatency) -> None:
        with self._came:
            self.latencies.append(message)
            self._came.notify_all()

    def clear(self) -> None:
        """Forget what came so far."""
        with self._came:
            self.sent.clear()
            self.arrivals.clear()
            self.latencies.clear()

    def publish(self, rgb: np.ndarray) -> int:
        """Publish an image; return its stamp in ns."""
        message = self.message(rgb, Header(stamp=self._node.get_clock().now().to_msg()))
        stamp = stamp_ns(message.header)
        self.sent[stamp] = time.monotonic()
        self._publisher.publish(message)
        return stamp

    def message(self, rgb: np.ndarray, header: Header) -> Any:
        """Return the message of an image."""
        return image_message(rgb, header)

    def totals_s(self) -> dict[int, float]:
        """Return the seconds from publishing to result of each image that had one, by stamp."""
        with self._came:
            return {s: at - self.sent[s] for s, at in self.arrivals if s in self.sent}

    def inference_s(self) -> dict[int, float]:
        """Return the seconds of head and tail that the nodes report, by stamp."""
        with self._came:
            return {stamp_ns(m.header): m.head + m.tail for m in self.latencies}

    def measure(self, rgb: np.ndarray, timeout_s: float = RESULT_TIMEOUT_S) -> float | None:
        """Return the seconds from publishing an image to its result; None if none came."""
        stamp = self.publish(rgb)

        def arrived() -> float | None:
            return next((at for s, at in reversed(self.arrivals) if s == stamp), None)
        with self._came:
            at_s = self._came.wait_for(arrived, timeout_s)
        return at_s - self.sent[stamp] if at_s else None

    def measure_all(self, rgb: np.ndarray, frames: int) -> list[float]:
        """Return the seconds of `frames` frames, one after the other; each has to arrive."""
        measured = [self.measure(rgb) for _ in range(frames)]
        found = [s for s in measured if s is not None]
        if len(found) < frames:
            raise OffloadError(f'{frames - len(found)} of {frames} frames had no result; see why '
                               'with --verbose')
        return found

    def warm_up(self, rgb: np.ndarray, args: argparse.Namespace) -> None:
        """Have frames computed until everything that a new cut sets off has come to rest."""
        until_s = time.monotonic() + args.settle
        done = 0
        while done < args.warm_up or time.monotonic() < until_s:
            done += len(self.measure_all(rgb, 1))

    def wait_until_idle(self, timeout_s: float = RESULT_TIMEOUT_S) -> None:
        """Wait until the drone has no frame under way."""
        with self._came:
            # The last image may have been lost on its way to the drone: wait not too long for it.
            self._came.wait_for(lambda: not self.sent or not self.latencies or stamp_ns(
                self.latencies[-1].header) == max(self.sent), 1.0)
            if not self._came.wait_for(lambda: self.latencies and _none_under_way(
                    self.latencies[-1]), timeout_s):
                raise OffloadError('the drone does not come to rest; see why with --verbose')

    def wait_for(self, graph: GraphRunner, done: Callable[[], bool], timeout_s: float) -> None:
        """Return once it is done; raises OffloadError if a node has ended instead."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            with self._came:
                if self._came.wait_for(done, 1.0):
                    return
            if (dead := graph.dead()) or time.monotonic() > give_up_s:
                raise OffloadError(f'no end within {timeout_s:.0f} s, or a node has ended '
                                   f'({dead}); see why with --verbose')

    def wait_for_graph(self, rgb: np.ndarray, *graphs: GraphRunner | ScriptGraph) -> None:
        """Return once results come; raises OffloadError if a node has ended instead."""
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while self.measure(rgb, timeout_s=1.0) is None:
            for dead in filter(None, (g.dead() for g in graphs)):
                raise OffloadError(f'{dead[0]} ended with code {dead[1]}; see why with --verbose')
            if time.monotonic() > give_up_s:
                raise OffloadError(f'no result within {START_TIMEOUT_S:.0f} s; see why with '
                                   '--verbose')


def stamp_ns(header: Header) -> int:
    """Return the stamp of a header in nanoseconds."""
    return int(header.stamp.sec * 10**9 + header.stamp.nanosec)


def _none_under_way(m: FrameLatency) -> bool:
    return bool(m.captured == m.remote + m.local + m.dropped)
