"""The graph table as a ROS 2 launch description; needs `launch` and `launch_ros`."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription
from offload_perception.dds import profile_environment
from offload_perception.graph import NodeEntry, arguments, namespace_of, parameter_type, runs


def describe(nodes: tuple[NodeEntry, ...]) -> LaunchDescription:
    """Return a launch description of `nodes` with their arguments."""
    declared = [DeclareLaunchArgument(a.name, default_value=a.default, description=a.description)
                for a in arguments(nodes).values()]
    dds = [SetEnvironmentVariable(k, v) for k, v in profile_environment().items()]
    return LaunchDescription([*declared, *dds, OpaqueFunction(function=_actions, args=[nodes])])


def _actions(context, nodes: tuple[NodeEntry, ...]) -> list[LifecycleNode]:
    """Return the nodes; run at launch time, since a parameter file is optional."""
    file = LaunchConfiguration('params_file').perform(context)
    return [_action(context, node, [file] if file else []) for node in nodes]


def _action(context, node: NodeEntry, files: list[str]) -> LifecycleNode:
    parameters = {name: ParameterValue(LaunchConfiguration(argument),
                                       value_type=parameter_type(node, name))
                  for name, argument in node.parameters.items()}
    condition = IfCondition(str(runs(node, context.launch_configurations)).lower())
    return LifecycleNode(
        package='offload_perception', executable=node.executable, name=node.name,
        namespace=namespace_of(LaunchConfiguration(node.namespace).perform(context)),
        parameters=[parameters, *files],
        output='screen', condition=condition)
