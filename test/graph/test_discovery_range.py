"""Nodes that are found on this host alone: all of a large fleet know each other."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from graph.command import Command

from offload_perception.bringup.dds import with_profile

FOUND_BY_DEFAULT = 32
"""Participants of a domain that Fast DDS looks for without multicast."""
TWO = """
import time, rclpy
from rclpy.context import Context
nodes = []
for name in 'ab':
    context = Context()
    rclpy.init(context=context)
    nodes.append(rclpy.create_node(name, context=context))
while not all({'a', 'b'} <= set(node.get_node_names()) for node in nodes):
    time.sleep(0.1)
print('both know both', flush=True)
"""


@pytest.fixture
def many_others() -> Iterator[None]:
    """Take the ports of the participants that are found by default (RTPS 2.5, 9.6.2.3)."""
    first = 7400 + 250 * int(os.environ['ROS_DOMAIN_ID'])
    with ExitStack() as taken:
        for participant in range(FOUND_BY_DEFAULT + 1):
            for offset in (10, 11):
                port = taken.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                with suppress(OSError):  # another participant has it
                    port.bind(('', first + offset + 2 * participant))
        yield


def test_participants_beyond_those_that_fast_dds_looks_for_find_each_other(
        run: Callable[..., Command], many_others: None, tmp_path: Path) -> None:
    profile = Path(__file__).parents[2] / 'config' / 'fastdds.xml'
    (tmp_path / 'two.py').write_text(TWO)
    two = run('python3', str(tmp_path / 'two.py'), env={
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        **with_profile(profile)})
    two.said('both know both')
