"""A fleet: drones with a namespace each, the servers that all of them know, and one page.

The launch file and the runner both start what `members` returns.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from offload_perception.bringup import arguments as given_arguments
from offload_perception.bringup.arguments import Argument, Settings, of_parameter
from offload_perception.bringup.config import param
from offload_perception.bringup.graph import (
    CAMERA,
    DASHBOARD,
    EDGE,
    FLIGHT,
    MONSOON,
    POWER,
    RECORDER,
    SERVER,
    UM25C,
    NodeEntry,
)
from offload_perception.errors import ConfigError

_SHARED = (replace(RECORDER, parameters={**RECORDER.parameters, 'drones': 'record_drones'}),
           DASHBOARD)
_DRONE = (UM25C, MONSOON, POWER, FLIGHT, EDGE, CAMERA)
# Where a fleet differs from a single drone: most of it is watched, and flies what it can judge.
_DEFAULTS = {'source': 'terrain', 'split': 'auto', 'dashboard': 'true'}
_TERRAIN = re.compile(r'(?<![^+])terrain(?::(\d+))?(?![^+])')


@dataclass(frozen=True)
class FleetConfig:
    """How large a fleet is."""

    drones: int = param(4, 'how many drones to start, /drone1, /drone2 and so on', low=1, high=64)
    servers: int = param(2, 'how many servers to start, /server1, /server2 and so on; 0: they '
                         'run elsewhere, see server', low=0, high=16)


@dataclass(frozen=True)
class Member:
    """Nodes of a fleet that share their arguments: a drone, a server, or those of the fleet.

    `name` is its namespace, empty for the nodes of the fleet.
    """

    name: str
    nodes: tuple[NodeEntry, ...]
    settings: Settings

    def label(self, node: NodeEntry) -> str:
        """Return the name of a node that no other node of the fleet has."""
        return f'{self.name}/{node.name}' if self.name else node.name

    def plays(self, node: NodeEntry) -> bool:
        """Return whether a node plays a source."""
        return node.name == self.settings.player


def arguments() -> dict[str, Argument]:
    """Return the arguments of a fleet by name: its size, and those of each drone and server."""
    known = given_arguments.arguments((*_SHARED, *SERVER, *_DRONE))
    del known['namespace']
    known['server'] = replace(
        known['server'], default='', description='namespaces of the servers that every drone '
        'knows, with commas between; empty = those that are started')
    known['record_drones'] = replace(
        known['record_drones'], description='namespaces of the drones to record, with commas '
        'between; empty = all that are started')
    for name, default in _DEFAULTS.items():
        known[name] = replace(known[name], default=default)
    return {f.name: of_parameter(f.name, f) for f in fields(FleetConfig)} | known


def members(given: Mapping[str, str]) -> tuple[Member, ...]:
    """Return what to start, in the order of starting.

    :raises ConfigError: names the argument, if there is none of that name or it cannot have
        that value.
    """
    known = arguments()
    given_arguments.check_given(known, given)
    texts = {name: given.get(name, a.default) for name, a in known.items()}
    drones, servers = ([f'{kind}{n}' for n in range(1, int(texts[f'{kind}s']) + 1)]
                       for kind in ('drone', 'server'))
    _check_port(texts['meter_port'], len(drones))
    common = {**_DEFAULTS, **given}
    names = texts['server'] or ','.join(f'/{name}' for name in servers)
    if names:
        common['server'] = names

    def make(name: str, nodes: tuple[NodeEntry, ...], **own: str) -> Member:
        takes = given_arguments.arguments(nodes)
        return Member(name, nodes, Settings(nodes, {
            **{k: text for k, text in common.items() if k in takes}, **own}))

    return (make('', _SHARED, namespace='',
                 record_drones=texts['record_drones'] or ','.join(drones)),
            *(make(name, SERVER, server=f'/{name}') for name in servers),
            *(make(name, _DRONE, namespace=name, source=_source(texts['source'], n))
              for n, name in enumerate(drones)))


def _check_port(port: str, drones: int) -> None:
    """Refuse a port that several meters would open."""
    if port and drones > 1:
        raise ConfigError(f"argument meter_port is '{port}', a single meter, and {drones} drones "
                          'are started; leave it out, or start that drone by drone.launch.py')


def _source(text: str, number: int) -> str:
    """Return the source of a drone, counted from 0: generated flights differ by their seeds."""
    return _TERRAIN.sub(lambda m: f'terrain:{int(m[1] or 0) + number}', text)
