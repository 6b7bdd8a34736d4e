"""What each node may publish, subscribe to, serve and request, as a policy of SROS2.

A name stands as the node itself writes it: relative to its namespace, `~/` below its own name, or
absolute. `*` is any text, `{server}` each server that the node may use, `{drone}` the namespace of
each drone that a recorder records, `{meter}` the topic that a meter is, `{stack}` the prefix of
the flight stack's topics.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

from offload_perception.bringup.arguments import IMAGE_TOPIC, Settings
from offload_perception.bringup.graph import NodeEntry
from offload_perception.frames import REPLIES
from offload_perception.power.drivers.commands import SERVICES

_VERSION = '0.2.0'  # of the format
_KINDS = {'publish': 'topic', 'subscribe': 'topic', 'reply': 'service', 'request': 'service'}
_PARAMETERS = ('describe_parameters', 'get_parameter_types', 'get_parameters', 'list_parameters',
               'set_parameters', 'set_parameters_atomically')
_LIFECYCLE = ('change_state', 'get_available_states', 'get_available_transitions', 'get_state',
              'get_transition_graph')
_IMAGES = (IMAGE_TOPIC, f'{IMAGE_TOPIC}/compressed')
_SHOWN = ('frame_latency', 'power', 'frame_energy', 'offload_decision', 'mission_policy',
          'classification', 'ground_truth', 'detections', 'class_map', *_IMAGES)


@dataclass(frozen=True)
class Permissions:
    """Names of topics and services; the fields are the qualifiers of SROS2."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()

    def __or__(self, other: 'Permissions') -> 'Permissions':
        return Permissions(*((*getattr(self, f.name), *getattr(other, f.name))
                             for f in fields(self)))


_EVERY = Permissions(
    publish=('/rosout', '/parameter_events', '~/transition_event', '/diagnostics', 'setup'),
    subscribe=('/clock',),  # with use_sim_time
    reply=tuple(f'~/{name}' for name in (*_PARAMETERS, *_LIFECYCLE, 'get_type_description')))
_METER = Permissions(('power', 'frame_energy', '~/supply'), ('frame_latency',))

PERMISSIONS: dict[str, Permissions] = {
    'camera': Permissions((*_IMAGES, 'ground_truth')),
    'edge_inference': Permissions(
        (*_IMAGES, 'ground_truth', 'classification', 'detections', 'class_map', 'outputs',
         'frame_latency', 'offload_decision', 'emulated_power', '{server}/features'),
        (*_IMAGES, REPLIES, 'frame_energy', 'mission_policy', '/diagnostics', '{server}/status',
         '{server}/beat')),
    'remote_inference': Permissions(('status', 'beat', 'served', f'/*/{REPLIES}'), ('features',)),
    'um25c': _METER | Permissions(subscribe=('emulated_power',),
                                  reply=tuple(f'~/{name}' for name in SERVICES)),
    'monsoon': _METER,
    'power': _METER | Permissions(subscribe=('{meter}',)),
    'recorder': Permissions(subscribe=(
        '/diagnostics', 'setup', '{drone}/*', *_IMAGES,
        *(f'{{server}}/{name}' for name in ('setup', 'status', 'served', 'features')))),
    'dashboard': Permissions(
        subscribe=('/diagnostics', '/*/status', '/*/served', *_IMAGES,
                   *(f'/*/{name}' for name in _SHOWN)),
        request=tuple(f'/*/edge_inference/{name}' for name in _PARAMETERS)),
    'flight': Permissions(
        ('mission_policy', 'geotagged', 'vision_classification', 'vision_detections',
         'vision_info'), ('classification', 'detections', '{stack}')),
}
"""By the name of the node; what every node has besides is `_EVERY`."""

_STACKS = {
    'mavros': ('/mavros', ('state', 'extended_state', 'battery', 'global_position/global',
                           'imu/data')),
    'px4': ('/fmu', tuple(f'out/{name}*' for name in (
        'vehicle_status', 'vehicle_land_detected', 'battery_status', 'vehicle_global_position',
        'vehicle_attitude')))}


def enclave(node: NodeEntry, settings: Settings) -> str:
    """Return the enclave of a node: its fully qualified name."""
    return f'{_namespace(node, settings)}/{node.name}'


def permissions(node: NodeEntry, settings: Settings) -> Permissions:
    """Return what a node may do, with full names."""
    wanted = _EVERY | PERMISSIONS[node.name]
    return Permissions(*(tuple(dict.fromkeys(
        full for name in getattr(wanted, f.name) for full in _full(name, node, settings)))
        for f in fields(wanted)))


def policy(graph: Iterable[tuple[NodeEntry, Settings]]) -> str:
    """Return the policy of SROS2 for nodes of a graph, an enclave for each, as XML."""
    root = ET.Element('policy', version=_VERSION)
    enclaves = ET.SubElement(root, 'enclaves')
    for node, settings in graph:
        profiles = ET.SubElement(ET.SubElement(enclaves, 'enclave', path=enclave(node, settings)),
                                 'profiles')
        profile = ET.SubElement(profiles, 'profile', ns=_namespace(node, settings) or '/',
                                node=node.name)
        granted = permissions(node, settings)
        for qualifier, kind in _KINDS.items():
            if names := getattr(granted, qualifier):
                allowed = ET.SubElement(profile, f'{kind}s', {qualifier: 'ALLOW'})
                for name in sorted(names):
                    ET.SubElement(allowed, kind).text = name
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _namespace(node: NodeEntry, settings: Settings) -> str:
    """Return a node's namespace, without the slash at the end: nothing for the root."""
    return f'/{settings.namespace(node).strip("/")}'.rstrip('/')


def _full(name: str, node: NodeEntry, settings: Settings) -> Iterator[str]:
    """Yield the full names that a name of the table stands for."""
    namespace = _namespace(node, settings)
    name = settings.remappings(node).get(name, name)
    marker, _, rest = name.partition('/')
    stands_for = _STANDS_FOR.get(marker)
    for start in stands_for(node, settings) if stands_for else [marker]:
        each = f'{start}/{rest}' if rest or not start else start
        if each.startswith('~/'):
            yield f'{namespace}/{node.name}{each[1:]}'
        else:
            yield each if each.startswith('/') else f'{namespace}/{each}'


def _servers(node: NodeEntry, settings: Settings) -> list[str]:
    text = settings['server'].strip()
    return ['/*'] if text == 'auto' else [f'/{name.strip().strip("/")}'
                                          for name in text.split(',')]


def _drones(node: NodeEntry, settings: Settings) -> list[str]:
    own, named = _namespace(node, settings), str(settings.parameters(node).get('drones', ''))
    if not named:
        return [own]
    names = [name.strip().rstrip('/') for name in named.split(',')]
    return [name if name.startswith('/') else f'{own}/{name}' for name in names]


def _meter(node: NodeEntry, settings: Settings) -> list[str]:
    kind, _, argument = settings['meter'].partition(':')
    return [argument.partition(':')[0]] if kind in ('topic', 'battery') else []


def _stack(node: NodeEntry, settings: Settings) -> list[str]:
    prefix, names = _STACKS[settings['flight_stack']]
    return [f'{settings["flight_prefix"] or prefix}/{name}' for name in names]


_STANDS_FOR: dict[str, Callable[[NodeEntry, Settings], list[str]]] = {
    '{server}': _servers, '{drone}': _drones, '{meter}': _meter, '{stack}': _stack}
