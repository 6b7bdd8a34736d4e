"""Drone and server on two machines: two network namespaces joined by a cable."""

import os
import shutil
import subprocess
from contextlib import ExitStack

import pytest
from command import adds_up, closing
from test_demo import FLYING, LIVE

from offload_perception.dds import profile_environment

# Before IP puts fragments together, so that each packet on the cable counts.
LOSS = """table inet loss {{
  chain arriving {{
    type filter hook prerouting priority -500;
    iifname != "lo" numgen random mod 100 < {} drop;
  }}
}}
"""
ADDRESSES = ('10.77.{}.1', '10.77.{}.2')


def ip(*words: str) -> None:
    subprocess.run(['ip', *words], check=True, capture_output=True, text=True)


@pytest.fixture
def machines():
    """Yield the names of two network namespaces; skip where they cannot be made."""
    if shutil.which('ip') is None or os.geteuid() != 0:
        pytest.skip('needs root and iproute2')
    number = os.getpid() % 250 + 1
    names = [f'offload{os.getpid()}{side}' for side in 'ab']
    cables = [f'op{os.getpid()}{side}' for side in 'ab']
    with ExitStack() as undo:
        try:
            for name in names:
                ip('netns', 'add', name)
                undo.callback(ip, 'netns', 'del', name)
            ip('link', 'add', cables[0], 'netns', names[0], 'type', 'veth',
               'peer', 'name', cables[1], 'netns', names[1])
            for name, cable, address in zip(names, cables, ADDRESSES, strict=True):
                ip('-n', name, 'addr', 'add', f'{address.format(number)}/24', 'dev', cable)
                ip('-n', name, 'link', 'set', cable, 'up')
                ip('-n', name, 'link', 'set', 'lo', 'up')
                # Discovery is by multicast, and nothing else says where that goes.
                ip('-n', name, 'route', 'add', '224.0.0.0/4', 'dev', cable)
        except subprocess.CalledProcessError as e:
            pytest.skip(f'network namespaces cannot be made here: {e.stderr.strip()}')
        yield names


def test_drone_and_server_meet_over_a_network(run, machines, artefact, photos):
    drone, server = (('ip', 'netns', 'exec', name) for name in machines)
    env = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    model = ['-p', f'model:={artefact.path}', '-p', 'runtime:=litert', '-p', 'threads:=1']
    run(*server, 'remote_inference_node', '--ros-args', '-r', '__ns:=/server', *model,
        env=env).said('serving /server/features')
    run(*drone, 'edge_inference_node', '--ros-args', '-r', '__ns:=/drone1', *model,
        env=env).said('split 14')
    run(*drone, 'camera_node', '--ros-args', '-r', '__ns:=/drone1', '-p', f'source:={photos}',
        env=env)
    monitor = run(*drone, 'monitor', '--namespace', 'drone1', env=env)
    monitor.said(FLYING)
    for process in monitor.family():
        process.send_signal(2)
    assert monitor.wait() == 0, monitor.output
    assert adds_up(monitor.output) and closing(monitor.output)[1] > 0
    assert 'tail litert on cpu at /server' in monitor.output


def test_the_drone_carries_on_alone_while_the_link_is_cut(run, machines, artefact, photos):
    drone, server = (('ip', 'netns', 'exec', name) for name in machines)
    cable = f'op{os.getpid()}b'
    env = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    model = ['-p', f'model:={artefact.path}', '-p', 'runtime:=litert', '-p', 'threads:=1']
    run(*server, 'remote_inference_node', '--ros-args', '-r', '__ns:=/server', *model,
        env=env).said('serving /server/features')
    edge = run(*drone, 'edge_inference_node', '--ros-args', '-r', '__ns:=/drone1', *model,
               '-p', 'split:=auto', '-p', 'emulate:=raspberry_pi_3b_plus', '-p', 'deadline:=2.0',
               env=env)
    edge.said('planning with profile')
    camera = run(*drone, 'camera_node', '--ros-args', '-r', '__ns:=/drone1',
                 '-p', f'source:={photos}', '-p', 'rate:=2.0', env=env)
    monitor = run(*drone, 'monitor', '--namespace', 'drone1', env=env)
    edge.said('to /server: ')
    ip('-n', machines[1], 'link', 'set', cable, 'down')
    edge.said('all on board: ', after=len(edge.lines))
    ip('-n', machines[1], 'link', 'set', cable, 'up')
    ip('-n', machines[1], 'route', 'add', '224.0.0.0/4', 'dev', cable)
    edge.said('to /server: ', after=len(edge.lines))
    for process in (camera, edge):
        for part in process.family():
            part.send_signal(2)
        process.wait()
    for process in monitor.family():
        process.send_signal(2)
    assert monitor.wait() == 0, monitor.output
    _, remote, local, _, reasons, _ = closing(monitor.output)
    assert adds_up(monitor.output) and remote > 0 and local > 0
    assert 'no reply' not in reasons, 'an overdue frame has to be finished on board'


@pytest.fixture
def lose(machines):
    """Return a function that loses some percent of the packets that come in at either end."""
    if shutil.which('nft') is None:
        pytest.skip('needs nft (nftables) to lose packets')

    def lose(percent: int) -> None:
        for name in machines:
            done = subprocess.run(['ip', 'netns', 'exec', name, 'nft', LOSS.format(percent)],
                                  capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f'packets cannot be lost here: {done.stderr.strip()}')
    return lose


def test_a_tenth_of_the_packets_lost_costs_no_frame(run, machines, lose, artefact, photos):
    drone, server = (('ip', 'netns', 'exec', name) for name in machines)
    env = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', **profile_environment()}
    model = ['-p', f'model:={artefact.path}', '-p', 'runtime:=litert', '-p', 'threads:=1']
    run(*server, 'remote_inference_node', '--ros-args', '-r', '__ns:=/server', *model,
        env=env).said('serving /server/features')
    edge = run(*drone, 'edge_inference_node', '--ros-args', '-r', '__ns:=/drone1', *model,
               '-p', 'reply_timeout:=2.9', '-p', 'deadline:=0.0', '-p', 'max_in_flight:=16',
               env=env)  # the heartbeat that Fast DDS has by default comes after 3 s
    edge.said('split 14')
    camera = run(*drone, 'camera_node', '--ros-args', '-r', '__ns:=/drone1',
                 '-p', f'source:={photos}', '-p', 'rate:=5.0', env=env)
    monitor = run(*drone, 'monitor', '--namespace', 'drone1', env=env)
    monitor.said(FLYING)
    lose(10)
    for _ in range(15):
        monitor.said(LIVE, after=len(monitor.lines))
    for process in (camera, edge):
        for part in process.family():
            part.send_signal(2)
        process.wait()
    for process in monitor.family():
        process.send_signal(2)
    assert monitor.wait() == 0, monitor.output
    _, remote, _, _, reasons, _ = closing(monitor.output)
    assert adds_up(monitor.output) and remote > 20
    assert 'no reply' not in reasons, monitor.output
