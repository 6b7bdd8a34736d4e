"""A drone's messages as plain objects with the fields of the real ones."""

from math import nan
from types import SimpleNamespace as Message
from typing import Any

from offload_perception.live.state import LiveState

STAGES = {'queue': 0.001, 'preprocess': 0.004, 'head': 0.06, 'encode': 0.003, 'link': 0.02,
          'server_wait': 0.002, 'decode': 0.001, 'tail': 0.009}
SERVER = '/server/remote_inference'


def header(stamp: int = 0) -> Message:
    return Message(stamp=Message(sec=stamp, nanosec=0), frame_id='camera')


def frame(number: int = 1, *, outcome: int = 0, **changes: Any) -> Message:
    """Return the FrameLatency of frame `number`, the only one before being results."""
    done = (number, 0, 0) if outcome == 0 else (number - 1, int(outcome == 1), int(outcome == 2))
    fields = {
        'header': header(number), 'sequence': number, 'outcome': outcome,
        'reason': 'no reply' if outcome == 2 else '', 'split': 14, 'split_name': 'block4_pool',
        'codec': 'rans', 'server': '/server', 'runtime': 'openvino', 'device': 'cpu',
        'server_runtime': 'openvino', 'server_device': 'cpu', **STAGES,
        'total': sum(STAGES.values()), 'bytes': 1200, 'deadline': 0.2,
        'deadline_met': outcome != 2, 'captured': number, 'remote': done[0], 'local': done[1],
        'dropped': done[2], 'end': 0.01 * number}
    return Message(**{**fields, **changes})


def result(number: int = 1, label: str = 'forest', **changes: Any) -> Message:
    fields = {'header': header(number), 'kind': 'classification', 'labels': [label, 'water'],
              'ids': [3, 1], 'scores': [0.9, 0.05], 'trained': True, 'where': 'remote',
              'model_digest': 'd1'}
    return Message(**{**fields, **changes})


def objects(number: int, *found: tuple[str, float]) -> Message:
    """Return the Classification of a detector: objects with label and score, best first."""
    ids = {label: k for k, label in enumerate(sorted({label for label, _ in found}))}
    return result(number, kind='detection', labels=[label for label, _ in found],
                  ids=[ids[label] for label, _ in found], scores=[score for _, score in found])


def detections(number: int, *boxes: tuple[float, float, float, float], label: str = 'cat',
               size: tuple[int, int] = (640, 480)) -> Message:
    """Return the Detections of an image of that width and height."""
    return Message(header=header(number), image_width=size[0], image_height=size[1], detections=[
        Message(id=16, label=label, score=0.75, x_min=x0, y_min=y0, x_max=x1, y_max=y1)
        for x0, y0, x1, y1 in boxes])


def power(joules: float = 0.0, **changes: Any) -> Message:
    fields = {'power': 5.25, 'voltage': 5.0, 'current': 1.05, 'integrated_energy': joules,
              'emulated': True, 'source': 'emulated UM25C'}
    return Message(**{**fields, **changes})


def energy(**changes: Any) -> Message:
    fields = {'sequence': 1, 'energy': 0.6, 'idle_energy': 0.4, 'uncertainty': 0.01,
              'method': 'trapezoid', 'residual_w': 0.3}
    return Message(**{**fields, **changes})


def decision(**changes: Any) -> Message:
    fields = {'server': '/server', 'latency': nan, 'bandwidth': nan, 'round_trip': nan,
              'reason': 'set by parameter'}
    return Message(**{**fields, **changes})


def policy(name: str = 'economy', **changes: Any) -> Message:
    fields = {'policy': name, 'reason': 'battery at 25%', 'min_period': 0.5, 'deadline_scale': 2.0}
    return Message(**{**fields, **changes})


def status(**changes: Any) -> Message:
    fields = {'model': 'aerial', 'runtime': 'openvino', 'device': 'cpu', 'utilisation': 0.25,
              'queue_length': 1, 'expected_wait': 0.002, 'arrival_rate': 9.5, 'completed': 90,
              'refused': 0, 'busy': 1, 'late': 2, 'failed': 0, 'model_digest': 'd1',
              'power_source': 'RAPL package-0', 'power': 31.5, 'frame_energy': 3.25, 'batch': 8,
              'batches': [60, 0, 10]}
    return Message(**{**fields, **changes})


def served(*drones: tuple[str, float]) -> Message:
    """Return the ServedDrones of a server: names of nodes, and their shares of its time."""
    return Message(drones=[Message(drone=name, share=share, queue_length=0, completed=9)
                           for name, share in drones])


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def turn(self, seconds: float) -> None:
        self.now_s += seconds


def fill(state: LiveState, frames: int = 8, label: str = 'forest') -> None:
    """Feed a short flight: the last frame of it is dropped."""
    state.add_decision(decision(bandwidth=2.5e6, round_trip=0.004))
    state.add_power(power(0.0))
    state.add_policy(policy())
    pass_time = getattr(state.clock, 'turn', lambda seconds: None)
    for n in range(1, frames):
        pass_time(0.1)
        state.add_frame(frame(n))
        state.add_result(result(n, label))
    state.add_frame(frame(frames, outcome=2))
    state.add_server('/server', status())
    state.add_power(power(1.2 * (frames - 1)))
    state.add_energy(energy())
    for name, level, message in (
            ('camera', 0, 'playing'), ('edge_inference', 0, 'running'),
            ('um25c', 1, 'a reading is missing now and then'),
            ('/server/remote_inference', 2, 'some tails could not be computed')):
        state.add_health(name if name[0] == '/' else f'{state.drone}/{name}', level, message, {})
