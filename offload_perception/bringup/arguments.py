"""The arguments of a graph and the checks of their values, for launch files and demo."""

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import Any

from offload_perception.bringup.config import check
from offload_perception.bringup.dds import SUBNET, parse_addresses
from offload_perception.bringup.graph import INSIDE, NODE, SOURCE, NodeEntry
from offload_perception.errors import ConfigError, IncomingError, OffloadError
from offload_perception.yaml_text import from_yaml

Value = str | int | float | bool
IMAGE_TOPIC, COMPRESSED = 'image_raw', '/compressed'
_NAME = re.compile(r'[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)
_TRUE, _FALSE = ('true', 'True', '1'), ('false', 'False', '0')


@dataclass(frozen=True)
class Argument:
    """A launch argument; `default` is text, as on a command line.

    `choices` are the allowed values, empty = any; `parameter` is the field that it sets, if any.
    """

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()
    parameter: Field[Any] | None = None


# What every node has, whatever its configuration.
_COMMON = (
    Argument('exit_when_refused', 'false', 'a node that cannot be configured ends with code 1; '
             'else it waits to be configured again', _TRUE + _FALSE),
    Argument('use_sim_time', 'false', 'take stamps from /clock, as a played bag or a simulator '
             'publishes it', _TRUE + _FALSE),
)
_OWN = (
    Argument('namespace', 'drone1', 'namespace of the drone, below the one that a launch file '
             'pushes unless it begins with a slash; one drone is one namespace'),
    Argument('remote', 'true', 'also start a server on this machine', _TRUE + _FALSE),
    Argument('record', 'false', 'also record the telemetry into a bag', _TRUE + _FALSE),
    Argument('dashboard', 'false', 'also serve a live web page', _TRUE + _FALSE),
    Argument('camera', INSIDE, 'what plays the source: inside is the edge node itself, node is '
             "camera_node; false leaves the images to a driver of one's own",
             (INSIDE, NODE, *_FALSE)),
    Argument('meter', 'um25c', 'power meter; um25c is an emulator without meter_port; KIND:NAME '
             'is one for power_node, such as hwmon:ina3221/VDD_IN', ('none',)),
    Argument('server_device', 'auto', 'device that runs the layers of the server',
             ('auto', 'edgetpu', 'cpu')),
)
_SETTINGS = (
    Argument('params_file', '', 'YAML file with more parameters for the nodes; arguments that are '
             'given win'),
    Argument('respawn', 'false', 'start a node again that has ended by itself', _TRUE + _FALSE),
    Argument('discovery', '', 'computers where the nodes look for others: subnet, or IPv4 '
             'addresses with commas between; empty = as ROS_AUTOMATIC_DISCOVERY_RANGE says, by '
             'default this one alone'),
    Argument('keystore', '', 'folder of an SROS2 keystore: the nodes take part only with the '
             'credentials of their enclaves in it; empty = without security'),
    Argument('log_level', 'info', 'of the nodes', ('debug', 'info', 'warn', 'error', 'fatal')),
)
_IMAGE = Argument('image', '', f'topic of the images in place of {IMAGE_TOPIC}; its compressed '
                  f'ones on the same with {COMPRESSED}')


def arguments(nodes: tuple[NodeEntry, ...]) -> dict[str, Argument]:
    """Return the arguments of a graph by name, with the defaults of the nodes' parameters."""
    found = {own.name: _with_nodes(own, nodes) for own in _OWN if any(
        own.name in (n.namespace, n.condition, *n.parameters.values()) for n in nodes)}
    for node in nodes:
        by_name = {f.name: f for f in fields(node.config)}
        for parameter, argument in node.parameters.items():
            found.setdefault(argument, of_parameter(argument, by_name[parameter]))
    if any(n.images for n in nodes):
        found['image'] = _IMAGE
    found |= {a.name: a for a in (*_COMMON, *_SETTINGS)}
    if 'server' not in found:
        found['server'] = Argument('server', '/server', 'namespace of the server')
    return found


def listing(known: Mapping[str, Argument]) -> str:
    """Return the arguments with their defaults and what they do, for the help of a command."""
    return '\n'.join(f'  {a.name}:={a.default or chr(39) * 2}\n      {a.description}'
                     for a in known.values())


def _with_nodes(own: Argument, nodes: tuple[NodeEntry, ...]) -> Argument:
    """Return the argument; its choices include the values that start a node."""
    starts = [value for n in nodes if n.condition == own.name for value in n.runs_at]
    new = tuple(value for value in starts if value not in own.choices)
    return replace(own, choices=new + own.choices) if own.choices else own


def of_parameter(name: str, f: Field[Any]) -> Argument:
    """Return the argument `name` that sets a parameter, with its default, choices and range."""
    boolean = isinstance(f.default, bool)
    return Argument(name, str(f.default).lower() if boolean else str(f.default),
                    f.metadata['description'],
                    _TRUE + _FALSE if boolean else f.metadata['choices'], f)


class Settings:
    """The checked arguments of a graph: their texts, and which of them were given.

    :ivar player: name of the node that plays the source; empty if the camera is not ours.
    """

    def __init__(self, nodes: tuple[NodeEntry, ...], given: Mapping[str, str]) -> None:
        """Check what was given.

        :raises ConfigError: names the argument, if there is none of that name or it cannot
            have that value.
        """
        known = arguments(nodes)
        check_given(known, given)
        self.given = frozenset(given)
        self._texts = {name: given.get(name, a.default) for name, a in known.items()}
        self.player = next((n.name for n in nodes if n.plays_at and
                            n.plays_at == self._texts.get('camera')), '')

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def is_true(self, name: str) -> bool:
        """Return the value of a boolean argument."""
        return self._texts[name] in _TRUE

    def runs(self, node: NodeEntry) -> bool:
        """Return whether a node runs."""
        if not node.condition:
            return True
        text = self._texts[node.condition]
        return ('true' if text in _TRUE else text) in node.runs_at or (
            SOURCE in node.runs_at and ':' in text)

    def parameters(self, node: NodeEntry) -> dict[str, Value]:
        """Return the node's parameters that were given; the others keep their defaults, or the
        values of a parameter file.
        """
        by_name = {f.name: f for f in fields(node.config)}
        found = {parameter: _value(by_name[parameter], self._texts[argument])
                 for parameter, argument in node.parameters.items() if argument in self.given}
        if node.plays_at == INSIDE and (source := self._source_inside(node)) is not None:
            found['source'] = source
        return found | {a.name: self.is_true(a.name) for a in _COMMON if a.name in self.given}

    def _source_inside(self, node: NodeEntry) -> str | None:
        """Return what a node has to play: nothing if another one plays; None = as a file says."""
        if self.player != node.name:
            return '' if 'camera' in self._texts else None
        file = self._texts['params_file']
        left = 'source' not in self.given and file and _sets(Path(file), node.name, 'source')
        return None if left else self._texts['source']

    def remappings(self, node: NodeEntry) -> dict[str, str]:
        """Return the topics of a node that have another name."""
        topic = self._texts.get('image', '')
        if not node.images or not topic:
            return {}
        return {IMAGE_TOPIC: topic, IMAGE_TOPIC + COMPRESSED: topic + COMPRESSED}

    def namespace(self, node: NodeEntry) -> str:
        """Return a node's namespace; servers are the same for all drones: theirs is absolute."""
        text = self._texts[node.namespace]
        if node.namespace == 'server':
            if text.strip() == 'auto':  # for drones; a server that is started beside has a name
                text = '/server'
            return '/' + text.partition(',')[0].strip().strip('/')
        return ('/' if text.startswith('/') else '') + text.strip('/')


def check_given(known: Mapping[str, Argument], given: Mapping[str, str]) -> None:
    """Check what was given for the arguments that are known.

    :raises ConfigError: names the argument, if it is not known or cannot have that value.
    """
    for name, text in given.items():
        if name not in known:
            raise ConfigError(f"there is no argument '{name}'; use one of {', '.join(known)}")
        _check(known[name], text)


def _check(argument: Argument, text: str) -> None:
    """Refuse a value that no node could take, under the argument's name."""
    if argument.choices and text not in argument.choices and not (
            SOURCE in argument.choices and ':' in text):
        raise ConfigError(f"argument {argument.name} is '{text}'; use "
                          f'{" or ".join(_shown(argument.choices))}')
    try:
        if argument.parameter is not None:
            check(argument.parameter, _value(argument.parameter, text))
        if argument.name in _CHECKS and text != argument.default:
            _CHECKS[argument.name](text)
    except OffloadError as e:
        raise ConfigError(f"argument {argument.name} is '{text}': {e}") from e


def _shown(choices: tuple[str, ...]) -> list[str]:
    """Return choices without the other spellings of true and false."""
    return [c for c in choices if c not in ('True', '1', 'False', '0')]


def _value(f: Field[Any], text: str) -> Value:
    """Return a parameter's value; text if it is none of that type, which `check` refuses."""
    kind: Any = type(f.default)
    if kind is bool:
        return text in _TRUE
    try:
        value: Value = kind(text)
        return value
    except ValueError:
        return text


def _check_namespace(text: str) -> None:
    """Refuse a name that is invalid in ROS."""
    if text.strip('/') and not _NAME.fullmatch(text.removeprefix('/').removesuffix('/')):
        raise ConfigError('no name of ROS: use letters, digits and _, parts separated by one /, '
                          'none starting with a digit')


def _check_namespaces(text: str) -> None:
    """Refuse a list with a name that is empty, invalid in ROS or there twice."""
    names = [name.strip().strip('/') for name in text.split(',')]
    if '' in names or len(set(names)) < len(names):
        raise ConfigError('give a namespace, or several different ones with commas between')
    for name in names:
        _check_namespace(name)


def _check_parameter_file(text: str) -> None:
    try:
        content = from_yaml(Path(text).read_text(), aliases=False)
    except OSError as e:
        raise ConfigError(f'the file cannot be read ({e.strerror})') from e
    except (UnicodeDecodeError, IncomingError) as e:
        raise ConfigError(f'the file cannot be used: {e}') from e
    if not isinstance(content, dict) or not all(
            isinstance(c, dict) and _holds_parameters(_inner(c)) for c in content.values()):
        raise ConfigError('the file holds no parameters of nodes; it begins like '
                          '"/**: {ros__parameters: {threads: 1}}"')


def _sets(file: Path, node: str, parameter: str) -> bool:
    """Return whether a parameter file sets a parameter of a node, whatever its namespace."""
    def look(content: Any, name: str) -> bool:
        if not isinstance(content, dict):
            return False
        if (name in (node, '*', '**') and _holds_parameters(content)
                and parameter in (content['ros__parameters'] or {})):
            return True
        return any(look(c, str(key).rpartition('/')[2]) for key, c in content.items())
    return look(from_yaml(file.read_text()), '')


def _holds_parameters(content: dict[str, Any]) -> bool:
    return isinstance(content.get('ros__parameters', 0), dict | None)


def _inner(content: dict[str, Any]) -> dict[str, Any]:
    """Return the level of a file's nested namespaces that has the parameters."""
    while 'ros__parameters' not in content and content:
        content = next((c for c in content.values() if isinstance(c, dict)), {})
    return content


def _check_readable(text: str) -> None:
    if not Path(text).expanduser().is_file():
        raise ConfigError('there is no such file')


def _check_absent(text: str) -> None:
    if Path(text).expanduser().exists():
        raise ConfigError('it is there already; name another folder')


def _check_keystore(text: str) -> None:
    if not Path(text).expanduser().joinpath('enclaves').is_dir():
        raise ConfigError('it is no keystore; make one with ros2 security generate_artifacts, see '
                          'docs/security.md')


def _check_discovery(text: str) -> None:
    if text != SUBNET:
        parse_addresses(text)


def _check_profile(text: str) -> None:
    from offload_perception.profiles import device_profile as profile  # imports numpy
    profile.load(text)


def _check_meter(text: str) -> None:
    if ':' in text:
        from offload_perception.power.drivers.power_sources import parse  # imports pyserial
        parse(text)


def _check_server_meter(text: str) -> None:
    from offload_perception.power.drivers.power_sources import parse
    if parse(text)[0].open is None:
        raise ConfigError('a topic meters no server; name a meter of its own computer')


def _check_calibration(text: str) -> None:
    from offload_perception.power.drivers.meter_calibration import load_calibration
    load_calibration(text)


def _check_source(text: str) -> None:
    from offload_perception.camera import check_source  # imports OpenCV
    check_source(text)


# Checks beyond type and range that need no running node.
_CHECKS: dict[str, Callable[[str], None]] = {
    'namespace': _check_namespace, 'image': _check_namespace, 'server': _check_namespaces,
    'record_drones': _check_namespaces,
    'labels': _check_readable, 'bag': _check_absent, 'params_file': _check_parameter_file,
    'keystore': _check_keystore, 'discovery': _check_discovery,
    'profile': _check_profile, 'emulate': _check_profile, 'source': _check_source,
    'meter': _check_meter, 'server_meter': _check_server_meter,
    'meter_calibration': _check_calibration,
}
