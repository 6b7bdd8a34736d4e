"""The graph: which nodes run for a drone and for a server, and which argument sets what.

The launch files and the runner of the demo both read this table; what stands nowhere else is
how a launch argument becomes a node's parameter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from offload_perception.config import (
    CameraConfig,
    DashboardConfig,
    EdgeConfig,
    FlightConfig,
    MeterConfig,
    RecorderConfig,
    RemoteConfig,
)
from offload_perception.errors import ConfigError


@dataclass(frozen=True)
class Argument:
    """A launch argument; `default` is text, as on a command line."""

    name: str
    default: str
    description: str


@dataclass(frozen=True)
class NodeEntry:
    """A node: its executable, its name, its namespace and the arguments that set parameters.

    `namespace` is the argument that holds it; `parameters` maps parameter to argument.
    `condition` is an argument that must be true for the node to run, or another choice than
    `none` where it sets a parameter with choices; empty = always.
    """

    executable: str
    name: str
    namespace: str
    config: type
    parameters: dict[str, str]
    condition: str = ''


_MODEL = {name: name for name in ('model', 'weights', 'labels', 'device', 'runtime', 'threads')}

CAMERA = NodeEntry('camera_node', 'camera', 'namespace', CameraConfig, {
    'source': 'source', 'rate': 'rate', 'width': 'width', 'height': 'height',
    'transport': 'transport', 'loop': 'loop', 'black': 'black', 'white': 'white'})
EDGE = NodeEntry('edge_inference_node', 'edge_inference', 'namespace', EdgeConfig, {
    **_MODEL, 'split': 'split', 'codec': 'codec', 'server': 'server', 'deadline': 'deadline',
    'profile': 'profile', 'emulate': 'emulate', 'black': 'black', 'white': 'white'})
METER = NodeEntry('um25c_node', 'um25c', 'namespace', MeterConfig, {
    'port': 'meter_port', 'emulated_device': 'emulated_device'})
REMOTE = NodeEntry('remote_inference_node', 'remote_inference', 'server', RemoteConfig, {
    **{name: name for name in ('model', 'weights', 'labels', 'runtime', 'threads', 'backend',
                               'beat_period')},
    'device': 'server_device'})
RECORDER = NodeEntry('recorder_node', 'recorder', 'namespace', RecorderConfig, {
    'bag': 'bag', 'images': 'record_images', 'tensors': 'record_tensors', 'server': 'server'},
    condition='record')
DASHBOARD = NodeEntry('dashboard_node', 'dashboard', 'namespace', DashboardConfig, {
    'host': 'dashboard_host', 'port': 'dashboard_port', 'names': 'dashboard_names',
    'control': 'dashboard_control', 'server': 'server', 'black': 'black', 'white': 'white'},
    condition='dashboard')
FLIGHT = NodeEntry('flight_node', 'flight', 'namespace', FlightConfig, {
    'stack': 'flight_stack', 'prefix': 'flight_prefix'}, condition='flight_stack')

# The recorder comes first and goes last, so that it misses nothing. The server follows, so that
# it listens when the first frame comes; the camera comes last.
DRONE = (RECORDER, DASHBOARD, NodeEntry(**{**vars(REMOTE), 'condition': 'remote'}), METER,
         FLIGHT, EDGE, CAMERA)
SERVER = (REMOTE,)

_OWN = (
    Argument('namespace', 'drone1', 'namespace of the drone; one drone is one namespace'),
    Argument('remote', 'true', 'also start a server on this machine'),
    Argument('record', 'false', 'also record the telemetry into a bag'),
    Argument('dashboard', 'false', 'also serve a live web page'),
    Argument('server_device', 'auto', 'where the layers of the server run'),
    Argument('params_file', '', 'YAML file with more parameters for the nodes'),
)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def arguments(nodes: tuple[NodeEntry, ...]) -> dict[str, Argument]:
    """Return the arguments of a graph by name, with the defaults of the nodes' parameters."""
    found: dict[str, Argument] = {}
    for node in nodes:
        by_name = {f.name: f for f in fields(node.config)}
        for parameter, argument in node.parameters.items():
            f = by_name[parameter]
            found.setdefault(argument, Argument(
                argument, _text(f.default), f.metadata['description']))
    used = {'params_file', *(n.namespace for n in nodes), *(n.condition for n in nodes)}
    for own in _OWN:
        if own.name in used or own.name in found:
            found[own.name] = own
    if 'server' in used and 'server' not in found:
        found['server'] = Argument('server', '/server', 'namespace of the server')
    return found


def runs(node: NodeEntry, values: Mapping[str, str]) -> bool:
    """Return whether a node runs, given every argument's value.

    :raises ConfigError: where its condition is none of the words that it may be.
    """
    if not node.condition:
        return True
    value = values[node.condition]
    choices = {c for f in fields(node.config) for c in f.metadata['choices']
               if node.parameters.get(f.name) == node.condition}
    words = choices or {'true', '1', 'false', '0'}
    if value.lower() not in words:
        raise ConfigError(f"{node.condition} is '{value}'; use "
                          + (' or '.join(sorted(choices)) if choices else 'true or false'))
    return value.lower() not in ('false', '0', 'none')


def namespace_of(value: str) -> str:
    """Return the namespace in an argument's value: of several servers the first, one slash."""
    return f'/{value.partition(",")[0].strip().strip("/")}'


def parameter_type(node: NodeEntry, parameter: str) -> type:
    """Return the type of a node's parameter: str, int or float."""
    return type({f.name: f for f in fields(node.config)}[parameter].default)
