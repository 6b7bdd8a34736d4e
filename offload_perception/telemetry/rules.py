"""The range of each field of a message, from a topic or from a bag.

Texts for display are cut and escaped. An invalid name that is compared or passed on, number, list
or enumeration refuses the message.
"""

import re
from functools import partial
from math import inf
from typing import Any

from offload_perception.errors import IncomingError
from offload_perception.frames import Outcome, Status
from offload_perception.incoming import (
    Rules,
    bounded,
    check,
    each,
    identifier,
    inside,
    member,
    number,
    text,
)
from offload_perception.network.output_meaning import KINDS

MAX_CLASSES = 10_000
MAX_LAYERS = 10_000
MAX_PARTS = 256
MAX_BATCH = 1024
MAX_DRONES = 256
_LONG = 1000  # characters of what a person reads: a reason, a finding
_NODE_NAME = re.compile(r'(/[A-Za-z_][A-Za-z0-9_]*)+')


def node_name(name: str, value: str) -> str:
    """Return a fully qualified node name; topics are derived from it.

    :raises IncomingError: if it is none.
    """
    if len(value) <= 200 and _NODE_NAME.fullmatch(value):
        return value
    raise IncomingError(f"{name} is '{text(value, 40)}', no fully qualified name of a node")


def _shown(_: str, value: str) -> str:
    return text(value)


def _said(_: str, value: str) -> str:
    return text(value, _LONG)


def _kind(name: str, value: str) -> str:
    if value in ('', *KINDS):  # older versions did not say
        return value
    raise IncomingError(f"{name} is '{text(value, 40)}', none of {', '.join(KINDS)}")


def _level(name: str, value: bytes | int) -> bytes | int:
    number(name, value if isinstance(value, int) else int.from_bytes(value[:2], 'big'), 0, 3)
    return value


_duration = partial(number, low=0.0, high=1e6, unknown=True)  # [s]
_seconds = partial(number, low=0.0, high=1e6)  # [s], always known
_electric = partial(number, low=-1e6, high=1e6, unknown=True)  # [V], [A], [W]
_clock = partial(number, low=0.0, high=1e12, unknown=True)  # monotonic [s]
_quantity = partial(number, low=-1e15, high=1e15, unknown=True)
_forecast = partial(number, low=-inf, high=inf, unknown=True)
_count = partial(number, low=0, high=2**63)
_header = inside({'frame_id': identifier})
_score = partial(number, low=-1e9, high=1e9)  # logits too
_ran: Rules = {name: _shown for name in ('runtime', 'device')}
_place: Rules = {'split_name': identifier, 'server': identifier}

_DIAGNOSTICS: Rules = {
    'level': _level, 'name': _shown, 'message': _said, 'hardware_id': _shown,
    'values': each(inside({'key': _shown, 'value': _said}), 256)}

_RESULT: Rules = {
    'header': _header, 'drone': identifier, 'model_digest': identifier, **_place,
    'where': identifier, **_ran, 'kind': _kind,
    'labels': each(_shown, MAX_CLASSES), 'ids': partial(bounded, limit=MAX_CLASSES),
    'scores': each(_score, MAX_CLASSES),
    **dict.fromkeys(('server_wait', 'decode', 'tail', 'server_total'), _duration)}

_PARTS = each(inside({'dtype': identifier, 'shape': partial(bounded, limit=8),
                      'scale': _forecast}), MAX_PARTS)
_DETECTION: Rules = {'label': _shown, 'score': _score,
                     **dict.fromkeys(('x_min', 'y_min', 'x_max', 'y_max'),
                                     partial(number, low=0.0, high=1e6))}

RULES: dict[str, Rules] = {
    'FeatureTensor': {
        'header': _header, 'drone': node_name, 'model_digest': identifier,
        'split_name': identifier, 'codec': identifier, 'parts': _PARTS,
        'remaining': partial(number, low=-1e6, high=1e6)},
    'Classification': _RESULT,
    'RemoteResult': {
        **{name: rule for name, rule in _RESULT.items() if name != 'where'},
        'status': partial(member, kind=Status), 'message': _said, 'parts': _PARTS,
        'batch': _count, 'expected_wait': _duration,
        'boxes': each(partial(number, low=-100.0, high=100.0), 4 * MAX_CLASSES)},
    'Detections': {
        'header': _header, 'drone': identifier, 'model_digest': identifier, 'where': identifier,
        **dict.fromkeys(('image_width', 'image_height'), partial(number, low=1, high=1e6)),
        'detections': each(inside(_DETECTION), MAX_CLASSES)},
    'OutputTensors': {'header': _header, 'drone': identifier, 'model_digest': identifier,
                      'parts': _PARTS},
    'GeotaggedClassification': {
        'header': _header, 'classification': inside(_RESULT), 'reason': _said,
        'latitude': partial(number, low=-90.0, high=90.0, unknown=True),
        'longitude': partial(number, low=-180.0, high=180.0, unknown=True),
        'altitude': _quantity,
        **dict.fromkeys(('position_age', 'position_gap', 'attitude_age', 'attitude_gap'),
                        _quantity)},
    'FrameLatency': {
        'header': _header, 'outcome': partial(member, kind=Outcome), 'reason': _shown, **_place,
        'codec': identifier, **_ran, 'server_runtime': _shown, 'server_device': _shown,
        **dict.fromkeys(('queue', 'preprocess', 'head', 'encode', 'link', 'server_wait',
                         'decode', 'tail', 'total'), _duration),
        'deadline': _seconds, 'end': _clock,
        **dict.fromkeys(('bytes', 'captured', 'remote', 'local', 'dropped'), _count)},
    'FrameEnergy': {
        'header': _header, 'window': _seconds, 'energy': _quantity, 'idle_energy': _quantity,
        'uncertainty': partial(number, low=0.0, unknown=True), 'method': _shown,
        'stages': each(_shown, 32), 'stage_energy': each(_quantity, 32), 'source': _shown,
        'residual_w': partial(number, low=0.0, high=1e15, unknown=True)},
    'PowerSample': {
        'header': _header, 'source': _shown, 'charging_mode': _shown, 'calibration': _shown,
        **dict.fromkeys(('voltage', 'current', 'power'), _electric),
        **dict.fromkeys(('energy', 'charge', 'integrated_energy', 'temperature', 'd_plus',
                         'd_minus', 'resistance'), _quantity)},
    'BatteryState': {  # of sensor_msgs: what a meter takes of it
        'header': _header, 'voltage': _electric, 'current': _electric},
    'MissionPolicy': {
        'header': _header, 'policy': _shown, 'reason': _said,
        'min_period': partial(number, low=0.0, high=3600.0),
        'deadline_scale': partial(number, low=1.0, high=100.0)},
    'OffloadDecision': {
        'header': _header, **_place, 'codec': identifier, 'reason': _said, 'runner_up': _shown,
        'runner_up_reason': _said, 'deadline': _seconds,
        **dict.fromkeys(('latency', 'latency_spread', 'energy', 'energy_spread', 'bandwidth',
                         'round_trip', 'server_wait', 'runner_up_latency', 'runner_up_energy',
                         'latency_error', 'energy_error'), _forecast)},
    'ServerStatus': {
        'header': _header, 'server': identifier, 'features_topic': _shown, 'model': _shown,
        'model_digest': identifier, **_ran, 'expected_wait': _seconds,
        'utilisation': partial(number, low=0.0, high=1.0),
        'arrival_rate': partial(number, low=0.0, high=1e9),
        'power_source': _shown, 'power': _quantity, 'frame_energy': _quantity,
        'tail_times': each(_duration, MAX_LAYERS), 'expected_waits': each(_duration, MAX_LAYERS),
        'batches': each(_count, MAX_BATCH),
        **dict.fromkeys(('received', 'completed', 'refused', 'busy', 'late', 'failed', 'lost'),
                        _count)},
    'ServedDrones': {
        'header': _header, 'server': identifier,
        'drones': each(inside({
            'drone': node_name, 'share': partial(number, low=0.0, high=1.0),
            **dict.fromkeys(('queue_length', 'received', 'completed', 'refused', 'busy', 'late',
                             'failed'), _count)}), MAX_DRONES)},
    'ServerBeat': {'expected_wait': _seconds},
    'DiagnosticArray': {'header': _header, 'status': each(inside(_DIAGNOSTICS), 256)},
    'DiagnosticStatus': _DIAGNOSTICS,
    'Float64': {'data': partial(number, low=0.0, high=1e4, unknown=True)},  # emulated_power [W]
}
"""By the name of a message's type: the checks of its fields."""

_TOGETHER = {'Classification': ('labels', 'ids', 'scores'),
             'RemoteResult': ('labels', 'ids', 'scores'),
             'FrameEnergy': ('stages', 'stage_energy')}


def checked(kind: str, message: Any) -> Any:
    """Return a checked message, its texts cut and escaped in place.

    One from a bag may be of an older version, without the newest fields.

    :param kind: name of its type, without the package.
    :raises IncomingError: if a field cannot be, or lists that belong together differ in length.
    """
    check(message, {field: rule for field, rule in RULES[kind].items()
                    if hasattr(message, field)})
    together = _TOGETHER.get(kind, ())
    if len({len(getattr(message, name)) for name in together}) > 1:
        lengths = (f'{name} has {len(getattr(message, name))}' for name in together)
        raise IncomingError(f'lists of different length: {", ".join(lengths)} elements')
    return message
