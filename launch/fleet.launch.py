"""Several drones, each in a namespace of its own, the servers they share, and one live page."""

from launch import LaunchDescription
from offload_perception.bringup.launch_description import describe_fleet


def generate_launch_description() -> LaunchDescription:
    """Return the graph of a fleet."""
    return describe_fleet()
