"""Memory of large messages in a queue, with the DDS settings of the nodes."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from graph.command import Command
from graph.node_beside import node_beside
from waits import WAIT_S

from offload_perception.bringup.dds import profile_environment

COUNT, BYTES = 40, 1 << 20
READER = f"""
import signal, psutil, rclpy
from std_msgs.msg import UInt8MultiArray
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
rclpy.init()
node, taken = rclpy.create_node('reader'), []
node.create_subscription(UInt8MultiArray, '/large', lambda m: taken.append(len(m.data)), {COUNT})
before = psutil.Process().memory_info().rss
signal.sigwait([signal.SIGUSR1])  # nothing is taken before that
while len(taken) < {COUNT}:
    rclpy.spin_once(node)
print('grew by', psutil.Process().memory_info().rss - before, flush=True)
"""


def test_a_queue_keeps_no_memory_of_large_messages_that_were_taken(
        run: Callable[..., Command], tmp_path: Path) -> None:
    pytest.importorskip('rclpy')
    from rclpy.duration import Duration
    from std_msgs.msg import UInt8MultiArray

    (tmp_path / 'reader.py').write_text(READER)
    reader = run('python3', str(tmp_path / 'reader.py'), env=profile_environment())
    with node_beside('writer') as node:
        writer = node.create_publisher(UInt8MultiArray, '/large', COUNT)
        while not writer.get_subscription_count():
            assert reader.process.poll() is None, reader.output
            time.sleep(0.05)
        for _ in range(COUNT):
            writer.publish(UInt8MultiArray(data=bytes(BYTES)))
        assert writer.wait_for_all_acked(Duration(seconds=WAIT_S))
        reader.process.send_signal(signal.SIGUSR1)
        grew = int(reader.said(r'grew by (-?\d+)')[1])
    assert grew < COUNT * BYTES / 4
