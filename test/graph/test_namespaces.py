"""Drone and server on two machines: two network namespaces joined by a cable."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from graph.command import FLYING, LIVE, Command, adds_up, closing

from offload_perception.bringup.dds import (
    discovery_environment,
    profile_environment,
    with_profile,
)
from offload_perception.network.artefact import Artefact

# Before IP puts fragments together, so that each packet on the cable counts.
LOSS = """table inet loss {{
  chain arriving {{
    type filter hook prerouting priority -500;
    iifname != "lo" numgen random mod 100 < {} drop;
  }}
}}
"""
ADDRESSES = ('10.77.{}.1', '10.77.{}.2')
CONFIG = Path(__file__).parents[2] / 'config'
EXAMPLES = {'192.168.1.10': 0, '192.168.1.20': 1}  # the addresses in docs/two_computers.md


def addresses() -> list[str]:
    return [address.format(os.getpid() % 250 + 1) for address in ADDRESSES]


def ip(*words: str) -> None:
    subprocess.run(['ip', *words], check=True, capture_output=True, text=True)


@pytest.fixture
def machines() -> Iterator[Any]:
    """Yield the names of two network namespaces; skip if they cannot be made."""
    if shutil.which('ip') is None or os.geteuid() != 0:
        pytest.skip('needs root and iproute2')
    names = [f'offload{os.getpid()}{side}' for side in 'ab']
    cables = [f'op{os.getpid()}{side}' for side in 'ab']
    with ExitStack() as undo:
        try:
            for name in names:
                ip('netns', 'add', name)
                undo.callback(ip, 'netns', 'del', name)
            ip('link', 'add', cables[0], 'netns', names[0], 'type', 'veth',
               'peer', 'name', cables[1], 'netns', names[1])
            for name, cable, address in zip(names, cables, addresses(), strict=True):
                ip('-n', name, 'addr', 'add', f'{address}/24', 'dev', cable)
                ip('-n', name, 'link', 'set', cable, 'up')
                ip('-n', name, 'link', 'set', 'lo', 'up')
                # Discovery is by multicast, which needs a route.
                ip('-n', name, 'route', 'add', '224.0.0.0/4', 'dev', cable)
        except subprocess.CalledProcessError as e:
            pytest.skip(f'network namespaces cannot be made here: {e.stderr.strip()}')
        yield names


class Flight(NamedTuple):
    """A drone's nodes and a monitor of it, on the drone's machine."""

    camera: Command
    edge: Command
    monitor: Command

    def end(self) -> str:
        """End all in this order; return what the monitor said."""
        for command in self:
            for process in command.family():
                process.send_signal(signal.SIGINT)
            assert command.wait() == 0, command.output
        return self.monitor.output


@pytest.fixture
def fly(run: Callable[..., Command], machines: Any, artefact: Artefact, photos: str) -> Any:
    """Start a server on one machine and a drone on the other, with parameters for its nodes."""
    def start(*edge: str, camera: Sequence[str] = (), **env: str) -> Flight:
        on_drone, on_server = (('ip', 'netns', 'exec', name) for name in machines)
        ours = ['-r', '__ns:=/drone1']
        model = ['-p', f'model:={artefact.path}', '-p', 'runtime:=litert', '-p', 'threads:=1']
        run_there = partial(run, env={'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', **env})
        run_there(*on_server, 'remote_inference_node', '--ros-args', '-r', '__ns:=/server',
                  *model).said('serving /server/features')
        node = run_there(*on_drone, 'edge_inference_node', '--ros-args', *ours, *model,
                         *words(edge))
        node.said('planning with profile|split 14')
        return Flight(run_there(*on_drone, 'camera_node', '--ros-args', *ours,
                                *words((f'source:={photos}', *camera))),
                      node, run_there(*on_drone, 'monitor', '--namespace', 'drone1'))
    return start


def words(parameters: Sequence[str]) -> list[str]:
    return [word for parameter in parameters for word in ('-p', parameter)]


def test_drone_and_server_meet_over_a_network(fly: Callable[..., Any]) -> None:
    flight = fly()
    flight.monitor.said(FLYING)
    said = flight.end()
    assert adds_up(said) and closing(said)[1] > 0
    assert 'tail litert on cpu at /server' in said


def of_the_docs(file: str, folder: Path) -> Path:
    """Return a copy of a file that the docs hand out, with the test's own addresses in it."""
    text = (CONFIG / file).read_text()
    for example, side in EXAMPLES.items():
        text = text.replace(example, addresses()[side])
    (folder / file).write_text(text.replace('192.168.1.0', addresses()[0]))
    return folder / file


def environment(way: str, folder: Path) -> dict[str, str]:
    """Return what has the machines find each other, in one of the ways of the docs."""
    if way == 'file of peers':
        return {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT',
                **with_profile(of_the_docs('static_peers.xml', folder))}
    if way == 'discovery':
        return discovery_environment(','.join(addresses()))
    return {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_STATIC_PEERS': ';'.join(addresses()), **profile_environment()}


@pytest.mark.parametrize('way', ['discovery', 'file of peers', 'ROS_STATIC_PEERS'])
def test_they_meet_without_multicast(fly: Callable[..., Any], machines: Any, tmp_path: Path,
                                     way: str) -> None:
    for name, side in zip(machines, 'ab', strict=True):
        ip('-n', name, 'route', 'del', '224.0.0.0/4', 'dev', f'op{os.getpid()}{side}')
    flight = fly(**environment(way, tmp_path))
    flight.monitor.said(FLYING)
    said = flight.end()
    assert adds_up(said) and closing(said)[1] > 0


def test_the_firewall_of_the_docs_lets_frames_through_and_nothing_else(
        fly: Callable[..., Any], machines: Any, tmp_path: Path) -> None:
    if shutil.which('nft') is None:
        pytest.skip('needs nft (nftables)')
    file = of_the_docs('firewall.nft', tmp_path)
    for name in machines:
        done = subprocess.run(['ip', 'netns', 'exec', name, 'nft', '-f', file],
                              capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f'packets cannot be filtered here: {done.stderr.strip()}')
    with_server, with_drone = (('ip', 'netns', 'exec', name, sys.executable, '-c')
                               for name in reversed(machines))
    listener = subprocess.Popen([*with_server, LISTEN], stdout=subprocess.PIPE, text=True)
    assert listener.stdout and listener.stdout.readline() == 'listening\n'
    subprocess.run([*with_drone, SEND.format(addresses()[1])], check=True)
    assert listener.communicate()[0] == 'allowed\n'
    flight = fly(ROS_DOMAIN_ID='0')  # of which the file knows the ports
    flight.monitor.said(FLYING)
    said = flight.end()
    assert adds_up(said) and closing(said)[1] > 0


# What comes first: a datagram to a port beside those of DDS would, but for the firewall.
LISTEN = """
import select, socket
def bound(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', port))
    return s
sockets = [bound(7650), bound(7649)]
print('listening', flush=True)
print(select.select(sockets, [], [])[0][0].recv(99).decode())
"""
SEND = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'refused', ('{0}', 7650))
s.sendto(b'allowed', ('{0}', 7649))
"""


def test_nothing_goes_on_the_network_unless_the_user_says_so(
        run: Callable[..., Command], machines: Any, artefact: Artefact, photos: str) -> None:
    drone, other = (('ip', 'netns', 'exec', name) for name in machines)
    as_installed = ('env', '-u', 'ROS_AUTOMATIC_DISCOVERY_RANGE')
    run(*drone, *as_installed, 'edge_inference_node', '--ros-args', '-r', '__ns:=/drone1',
        *words((f'model:={artefact.path}', 'runtime:=litert', 'threads:=1', 'split:=-1',
                f'source:={photos}'))).said('showing')
    for machine, seen in ((other, 'no drone in /drone1: nor anywhere else'), (drone, FLYING)):
        monitor = run(*machine, 'monitor', '--namespace', 'drone1', '--duration', '5',
                      env={'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'})
        monitor.said(seen)
        assert monitor.wait() == 0


def test_the_drone_carries_on_alone_while_the_link_is_cut(fly: Callable[..., Any], machines: Any,
                                                          free_radio: Any) -> None:
    flight = fly('split:=auto', f'emulate:={free_radio}', 'deadline:=2.0', camera=['rate:=2.0'])
    edge, cable = flight.edge, f'op{os.getpid()}b'
    edge.said('to /server: ')
    ip('-n', machines[1], 'link', 'set', cable, 'down')
    edge.said('all on board: ', after=len(edge.lines))
    ip('-n', machines[1], 'link', 'set', cable, 'up')
    ip('-n', machines[1], 'route', 'add', '224.0.0.0/4', 'dev', cable)
    edge.said('to /server: ', after=len(edge.lines))
    for _ in range(3):  # until some of what was sent has come back
        flight.monitor.said(FLYING, after=len(flight.monitor.lines))
    said = flight.end()
    _, remote, local, _, reasons, _ = closing(said)
    assert adds_up(said) and remote > 0 and local > 0
    assert 'no reply' not in reasons, 'an overdue frame has to be finished on board'


@pytest.fixture
def lose(machines: Any) -> Any:
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


def test_a_tenth_of_the_packets_lost_costs_no_frame(fly: Callable[..., Any], lose: Any) -> None:
    # The heartbeat that Fast DDS has by default comes after 3 s.
    flight = fly('reply_timeout:=2.9', 'deadline:=0.0', 'max_in_flight:=16', camera=['rate:=5.0'],
                 **profile_environment())
    flight.monitor.said(FLYING)
    lose(10)
    for _ in range(15):
        flight.monitor.said(LIVE, after=len(flight.monitor.lines))
    said = flight.end()
    _, remote, _, _, reasons, _ = closing(said)
    assert adds_up(said) and remote > 20
    assert 'no reply' not in reasons, said
