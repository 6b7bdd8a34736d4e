"""A server that finishes the network for any number of drones."""

from launch import LaunchDescription
from offload_perception.bringup.graph import SERVER
from offload_perception.bringup.launch_description import describe


def generate_launch_description() -> LaunchDescription:
    """Return the graph of one server."""
    return describe(SERVER)
