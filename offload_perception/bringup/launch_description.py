"""The graph table as a ROS 2 launch description; needs `launch` and `launch_ros`."""

from collections.abc import Callable, Iterable, Mapping

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription
from offload_perception.bringup import fleet_graph
from offload_perception.bringup.arguments import Argument, Settings, arguments
from offload_perception.bringup.dds import discovery_environment, security_environment
from offload_perception.bringup.graph import SOURCE, NodeEntry
from offload_perception.bringup.permissions import enclave
from offload_perception.bringup.process_runner import RESPAWN_DELAY_S

Graph = Callable[[Mapping[str, str]], Iterable[tuple[tuple[NodeEntry, ...], Settings]]]
"""From the given arguments to nodes, those with the same arguments together."""


def describe(nodes: tuple[NodeEntry, ...]) -> LaunchDescription:
    """Return a launch description of `nodes` with their arguments."""
    return _describe(arguments(nodes), lambda given: [(nodes, Settings(nodes, given))])


def describe_fleet() -> LaunchDescription:
    """Return a launch description of several drones and servers."""
    return _describe(fleet_graph.arguments(),
                     lambda given: [(m.nodes, m.settings) for m in fleet_graph.members(given)])


def _describe(known: Mapping[str, Argument], graph: Graph) -> LaunchDescription:
    """Return a launch description of a graph with its arguments.

    Given arguments are read before the defaults are declared: a given argument overrides a
    parameter file, a default does not. Everything is checked before the first node starts.
    """
    given: dict[str, str] = {}

    def look(context: LaunchContext) -> None:
        given.clear()
        given.update({name: text for name, text in context.launch_configurations.items()
                      if name in known})
        graph(given)

    def start(context: LaunchContext) -> list[LifecycleNode]:
        return [action for nodes, settings in graph(given)
                for action in actions(nodes, settings, context.environment)]

    return LaunchDescription([OpaqueFunction(function=look), *map(_declare, known.values()),
                              OpaqueFunction(function=start)])


def _declare(argument: Argument) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(argument.name, default_value=argument.default,
                                 description=argument.description,
                                 choices=None if SOURCE in argument.choices
                                 else argument.choices or None)


def actions(nodes: tuple[NodeEntry, ...], settings: Settings,
            environment: dict[str, str]) -> list[LifecycleNode]:
    """Return the nodes that run, each with its DDS settings in its own environment alone."""
    file, keystore = settings['params_file'], settings['keystore']
    return [LifecycleNode(
        package='offload_perception', executable=node.executable, name=node.name,
        namespace=settings.namespace(node), remappings=list(settings.remappings(node).items()),
        parameters=[*([file] if file else []), *filter(None, [settings.parameters(node)])],
        ros_arguments=['--log-level', settings['log_level'],
                       *(['--enclave', enclave(node, settings)] if keystore else [])],
        additional_env={**discovery_environment(settings['discovery'], environment),
                        **security_environment(keystore)},
        respawn=settings.is_true('respawn'), respawn_delay=RESPAWN_DELAY_S, output='screen')
        for node in nodes if settings.runs(node)]
