"""The graph: which nodes run for a drone and for a server, and which argument sets what.

The launch files and the runner of the demo both read this table; it alone defines
how a launch argument becomes a node's parameter. `arguments.py` checks the values.
"""

from dataclasses import dataclass, replace

from offload_perception.bringup.config import (
    CameraConfig,
    DashboardConfig,
    EdgeConfig,
    FlightConfig,
    MonsoonConfig,
    PowerConfig,
    RecorderConfig,
    RemoteConfig,
    Um25cConfig,
)

SOURCE = 'KIND:NAME'
"""In `runs_at`, any text with a colon in it, such as the source of a power meter."""
INSIDE, NODE = 'inside', 'node'
"""Values of argument `camera` at which a node of ours plays the source: the edge node, a node of
its own."""


@dataclass(frozen=True)
class NodeEntry:
    """A node: its executable, its name, its namespace and the arguments that set parameters.

    `namespace` is the argument that holds it; `parameters` maps parameter to argument. The node
    runs if the argument `condition` is one of `runs_at`; always, if there is no condition.
    `images` says whether it publishes or takes the camera's images, `plays_at` at which value of
    argument `camera` it plays the source, if it can.
    """

    executable: str
    name: str
    namespace: str
    config: type
    parameters: dict[str, str]
    condition: str = ''
    runs_at: tuple[str, ...] = ('true',)
    images: bool = False
    plays_at: str = ''


_MODEL = {name: name for name in ('model', 'weights', 'fit', 'labels', 'preprocess', 'task',
                                  'min_score', 'runtime', 'threads')}

_PICTURES = {name: name for name in ('rate', 'width', 'height', 'loop', 'black', 'white')}

CAMERA = NodeEntry('camera_node', 'camera', 'namespace', CameraConfig, {
    'source': 'source', **_PICTURES, 'transport': 'transport'},
    condition='camera', runs_at=(NODE,), images=True, plays_at=NODE)
EDGE = NodeEntry('edge_inference_node', 'edge_inference', 'namespace', EdgeConfig, {
    **_MODEL, **_PICTURES, 'device': 'device', 'split': 'split', 'codec': 'codec',
    'server': 'server', 'deadline': 'deadline', 'profile': 'profile', 'emulate': 'emulate',
    'edgetpu_devices': 'edgetpu_devices', 'edgetpu_performance': 'edgetpu_performance',
    'image_reliability': 'image_reliability', 'preview': 'transport',
    'preview_rate': 'preview_rate', 'preview_width': 'preview_width'},
    images=True, plays_at=INSIDE)
UM25C = NodeEntry('um25c_node', 'um25c', 'namespace', Um25cConfig, {
    'port': 'meter_port', 'emulated_device': 'emulated_device',
    'calibration': 'meter_calibration'},
    condition='meter', runs_at=('um25c',))
MONSOON = NodeEntry('monsoon_node', 'monsoon', 'namespace', MonsoonConfig, {
    'calibration': 'meter_calibration'}, condition='meter', runs_at=('monsoon',))
POWER = NodeEntry('power_node', 'power', 'namespace', PowerConfig, {
    'source': 'meter', 'calibration': 'meter_calibration'},
    condition='meter', runs_at=(SOURCE,))
REMOTE = NodeEntry('remote_inference_node', 'remote_inference', 'server', RemoteConfig, {
    **_MODEL, 'device': 'server_device', 'backend': 'backend', 'beat_period': 'beat_period',
    'batch': 'batch', 'shares': 'shares', 'power_source': 'server_meter',
    'ray_address': 'ray_address', 'ray_replicas': 'ray_replicas'})
RECORDER = NodeEntry('recorder_node', 'recorder', 'namespace', RecorderConfig, {
    'bag': 'bag', 'images': 'record_images', 'tensors': 'record_tensors', 'server': 'server'},
    condition='record', images=True)
DASHBOARD = NodeEntry('dashboard_node', 'dashboard', 'namespace', DashboardConfig, {
    'host': 'dashboard_host', 'port': 'dashboard_port', 'names': 'dashboard_names',
    'control': 'dashboard_control', 'server': 'server', 'black': 'black', 'white': 'white'},
    condition='dashboard', images=True)
FLIGHT = NodeEntry('flight_node', 'flight', 'namespace', FlightConfig, {
    'stack': 'flight_stack', 'prefix': 'flight_prefix'},
    condition='flight_stack', runs_at=('mavros', 'px4'))

# The recorder starts first and ends last, so that it misses nothing. The server follows, so that
# it is subscribed when the first frame comes; what plays the source starts last.
DRONE = (RECORDER, DASHBOARD, replace(REMOTE, condition='remote'), UM25C, MONSOON, POWER, FLIGHT,
         EDGE, CAMERA)
SERVER = (REMOTE,)
