"""A server that finishes the network for any number of drones."""

from offload_perception.graph import SERVER
from offload_perception.launch_description import describe


def generate_launch_description():
    """Return the graph of one server."""
    return describe(SERVER)
