"""The camera inside the edge node against a node of its own, for cost.py.

Both ways show the same film: links to one picture in a folder, once. What its nodes use after
the end of the film, while nothing comes, is their idle load.
"""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import common
import cv2
import numpy as np
from goals import Goal, at_most
from planned_flight import START_TIMEOUT_S, Telemetry, wait_for_first

from offload_perception.bringup.process_runner import GraphRunner
from offload_perception.camera import open_source
from offload_perception.errors import OffloadError
from offload_perception.frames import Outcome
from offload_perception.power.emulation.device_model import preset

NAMESPACE, SERVER = 'cameras_benchmark', 'cameras_benchmark_server'
WAYS = {'node': ('edge_inference', 'camera'), 'inside': ('edge_inference',)}
METERED = 'raspberry_pi_3b_plus'  # what the emulated meter of the demo models
SPARE = 50  # pictures, for frames that are lost before camera and edge node know each other
OVER_S = 1.5  # without a frame: the film is over


def compare(args: argparse.Namespace, scene: common.Scene, head_s: float) -> list[dict[str, Any]]:
    """Return a record for each way; `head_s` are the CPU seconds of the bare head."""
    warm = args.warm_up + round(args.settle * args.rate)
    with tempfile.TemporaryDirectory() as folder:
        film = make_film(Path(folder), scene.rgb, warm + args.frames + SPARE)
        source_s = bare_source_s(film, args.frames)
        return [{'camera': way, 'bare_cpu_s': head_s, 'source_cpu_s': source_s,
                 **fly(args, way, film, warm, head_s + source_s)} for way in WAYS]


def make_film(folder: Path, rgb: np.ndarray, pictures: int) -> Path:
    """Return a folder of so many names of one picture, which takes little to decode."""
    kept, film = folder / 'picture.bmp', folder / 'film'
    cv2.imwrite(str(kept), np.ascontiguousarray(rgb[..., ::-1]))
    film.mkdir()
    for n in range(pictures):
        (film / f'{n:06}.bmp').symlink_to(kept)
    return film


def bare_source_s(film: Path, frames: int) -> float:
    """Return the mean CPU seconds of a picture of the source alone."""
    with open_source(str(film)) as source:
        started = time.process_time()
        for _ in range(frames):
            source.next()
        return (time.process_time() - started) / frames


def fly(args: argparse.Namespace, way: str, film: Path, warm: int,
        bare_s: float) -> dict[str, Any]:
    """Return what the frames after the first `warm` cost, in seconds and joules a frame.

    :param bare_s: CPU seconds of source and head alone.
    """
    with (Telemetry(NAMESPACE) as telemetry,
          common.drone_graph(args, NAMESPACE, f'camera:={way}', f'source:={film}', 'loop:=false',
                             f'rate:={args.rate}', split=args.cut, codec=args.codec,
                             server=SERVER) as graph):
        graph.start('remote_inference', exit_when_refused='true')
        wait_for_subscriber(f'/{SERVER}/features', telemetry, graph)
        graph.start('edge_inference', exit_when_refused='true', reply_timeout='30.0')
        if 'camera' in graph:  # else it would play while nobody listens
            wait_for_subscriber(f'/{NAMESPACE}/image_raw', telemetry, graph)
            graph.start('camera', exit_when_refused='true')
        wait_for_first(telemetry, graph)
        nodes = [common.node_process(name, NAMESPACE) for name in WAYS[way]]
        limit_s = common.RESULT_TIMEOUT_S + (warm + args.frames) / args.rate
        # The first ones may come before the edge node has discovered the server.
        telemetry.wait_for(lambda: any(m.outcome != Outcome.DROPPED for m in telemetry.frames),
                           limit_s, 'a frame with a result')
        warm += len(telemetry.frames)
        telemetry.wait_for(lambda: len(telemetry.frames) >= warm, limit_s, 'a frame')
        used_s, started, first = -common.cpu_s(nodes), time.monotonic(), len(telemetry.frames)
        telemetry.wait_for(lambda: len(telemetry.frames) >= first + args.frames, limit_s,
                           'a frame')
        used_s, wall_s = used_s + common.cpu_s(nodes), time.monotonic() - started
        measured = range(first, len(telemetry.frames))
        while time.monotonic() - telemetry.came_s[-1] < OVER_S:
            threading.Event().wait(0.1)
        idle_s, started = -common.cpu_s(nodes), time.monotonic()
        threading.Event().wait(args.seconds)
        idle_load = (idle_s + common.cpu_s(nodes)) / (time.monotonic() - started)
    frame_s = (used_s - idle_load * wall_s) / len(measured)
    return {'cpu_s': frame_s, 'beyond_s': frame_s - bare_s, 'idle_load': idle_load,
            'delay_s': delays_s(telemetry, measured),
            'emulated_j': joules(used_s / len(measured))}


def wait_for_subscriber(topic: str, telemetry: Telemetry, graph: GraphRunner) -> None:
    """Return once a topic has a subscriber; raises OffloadError if a node has ended instead."""
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while not telemetry.count_subscribers(topic):
        if (dead := graph.dead()) or time.monotonic() > give_up_s:
            raise OffloadError(f'no subscriber to {topic} ({dead}); see why with --verbose')
        threading.Event().wait(0.1)


def delays_s(telemetry: Telemetry, measured: range) -> list[float]:
    """Return the seconds from the camera's frame to the end of each that had a result.

    All are processes of this computer, with one clock: the stamp is when the frame came.
    """
    ahead_s = time.time() - time.monotonic()
    frames = [(telemetry.frames[i], telemetry.came_s[i]) for i in measured]
    return [came_s + ahead_s - 1e-9 * common.stamp_ns(m.header) for m, came_s in frames
            if m.outcome != Outcome.DROPPED]


def joules(cpu_s: float) -> float:
    """Return the joules above idle that the emulated meter's model gives these CPU seconds."""
    model = preset(METERED)
    return (model.full_load_w - model.idle_w) * cpu_s / (os.cpu_count() or 1)


def cells(r: dict[str, Any]) -> list[Any]:
    """Return the line of the table."""
    return [r['camera'], *(common.ms(r[k]) for k in (
        'cpu_s', 'bare_cpu_s', 'source_cpu_s', 'beyond_s')), f'{r["idle_load"]:.1%}',
        common.ms(r['delay_s']), common.ms(r['delay_s'], 95), f'{1e3 * r["emulated_j"]:.2f}']


def goals(ways: list[dict[str, Any]]) -> list[Goal]:
    """Return the goal of the camera inside."""
    beyond = {r['camera']: r['beyond_s'] for r in ways}
    return [at_most('CPU beyond inference at the edge node and camera together, inside / node',
                    beyond['inside'] / beyond['node'], 0.5)]
