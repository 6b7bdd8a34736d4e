"""Nodes that are found on this host alone: all of a large fleet know each other."""

from collections.abc import Callable
from pathlib import Path

from graph.command import Command

PROCESSES = 36  # Fast DDS alone looks for 32
MANY = f"""
import time, rclpy
from rclpy.context import Context
nodes = []
for number in range({PROCESSES}):
    context = Context()
    rclpy.init(context=context)
    nodes.append(rclpy.create_node(f'n{{number}}', context=context))
while not all(len(node.get_node_names()) == {PROCESSES} for node in nodes):
    time.sleep(0.1)
print('all know all', flush=True)
"""


def test_more_processes_than_fast_dds_looks_for_find_each_other(
        run: Callable[..., Command], tmp_path: Path) -> None:
    profile = Path(__file__).parents[2] / 'config' / 'fastdds.xml'
    (tmp_path / 'many.py').write_text(MANY)
    many = run('python3', str(tmp_path / 'many.py'), env={
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(profile)})
    many.said('all know all')
