"""Everything for one drone: edge inference, power meter; a server unless remote:=false."""

from launch import LaunchDescription
from offload_perception.bringup.graph import DRONE
from offload_perception.bringup.launch_description import describe


def generate_launch_description() -> LaunchDescription:
    """Return the graph of one drone."""
    return describe(DRONE)
