"""Two network namespaces joined by a shaped cable: two machines for a benchmark. Needs root."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from offload_perception.errors import OffloadError

_ADDRESSES = ('10.77.{}.1', '10.77.{}.2')
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_ETHERNET_BYTES, _MTU = 14, (200, 1500)
# Before IP puts fragments together, so that each packet on the cable counts.
_LOSS = """
table inet loss
delete table inet loss
table inet loss {{
  chain arriving {{
    type filter hook prerouting priority -500;
    iifname != "lo" numgen random mod 1000 < {} drop;
  }}
}}
"""


def _mtu(mbit: float) -> int:
    """Return how large a packet may be: what the rate lets through in 16 ms.

    A token bucket lets one packet pass at once, so a message of one packet would not feel a slow
    link. With small packets it does, for 17 % more bytes of headers at most.
    """
    least, most = _MTU
    return min(max(int(2000 * mbit), least), most)


def _burst_bytes(mbit: float) -> int:
    """Return what may pass at once: one packet, or what the rate lets through in 1.6 ms."""
    return max(_mtu(mbit) + 2 * _ETHERNET_BYTES, int(200 * mbit))


class Machines:
    """A drone and a server with a cable between them; a context manager that removes them."""

    def __init__(self) -> None:
        self.names = drone, server = f'op_drone_{os.getpid()}', f'op_server_{os.getpid()}'
        self._cables = {drone: f'opd{os.getpid()}', server: f'ops{os.getpid()}'}
        self._undo = ExitStack()

    def __enter__(self) -> 'Machines':
        if os.geteuid() != 0 or not shutil.which('ip') or not shutil.which('tc'):
            raise OffloadError('network namespaces need root, and the commands ip and tc of '
                               'iproute2; run this as root, for example in a container with '
                               '--cap-add NET_ADMIN --cap-add SYS_ADMIN')
        try:
            self._build()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _build(self) -> None:
        number = os.getpid() % 250 + 1
        for name in self.names:
            _call('ip', 'netns', 'add', name)
            self._undo.callback(_call, 'ip', 'netns', 'del', name)
        (drone, cable), (server, end) = self._cables.items()
        _call('ip', 'link', 'add', cable, 'netns', drone, 'type', 'veth', 'peer', 'name', end,
              'netns', server)
        for name, address in zip(self.names, _ADDRESSES, strict=True):
            cable = self._cables[name]
            _call('ip', '-n', name, 'addr', 'add', f'{address.format(number)}/24', 'dev', cable)
            _call('ip', '-n', name, 'link', 'set', cable, 'up')
            _call('ip', '-n', name, 'link', 'set', 'lo', 'up')
            # Discovery is by multicast, which needs a route.
            _call('ip', '-n', name, 'route', 'add', '224.0.0.0/4', 'dev', cable)

    def shape(self, mbit: float) -> None:
        """Let `mbit` Mbit/s through in each direction; a token bucket queues up to 0.4 s."""
        for name, cable in self._cables.items():
            _call('ip', '-n', name, 'link', 'set', cable, 'mtu', str(_mtu(mbit)))
            _call('tc', '-n', name, 'qdisc', 'replace', 'dev', cable, 'root', 'tbf',
                  'rate', f'{mbit}mbit', 'burst', f'{_burst_bytes(mbit)}b', 'latency', '400ms')

    def cut(self) -> None:
        """Let the server's end of the cable lose its carrier."""
        _, (server, cable) = self._cables.items()
        _call('ip', '-n', server, 'link', 'set', cable, 'down')

    def join(self) -> None:
        """Mend the cable."""
        _, (server, cable) = self._cables.items()
        _call('ip', '-n', server, 'link', 'set', cable, 'up')
        _call('ip', '-n', server, 'route', 'add', '224.0.0.0/4', 'dev', cable)

    def lose(self, share: float) -> None:
        """Lose this share of the packets that come in at either end, at random."""
        for name in self.names:
            _call('ip', 'netns', 'exec', name, 'nft', _LOSS.format(round(1000 * share)))

    def sent_packets(self) -> int:
        """Return how many packets drone and server have put on the cable."""
        return sum(int(_call('ip', 'netns', 'exec', name, 'cat',
                             f'/sys/class/net/{cable}/statistics/tx_packets'))
                   for name, cable in self._cables.items())

    def sent_bytes(self) -> tuple[int, int]:
        """Return the bytes that drone and server have put on the cable, all headers included."""
        drone, server = (int(_call('ip', 'netns', 'exec', name, 'cat',
                                   f'/sys/class/net/{cable}/statistics/tx_bytes'))
                         for name, cable in self._cables.items())
        return drone, server


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let this thread, and the threads and processes it starts, be on a machine."""
    home = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    try:
        _enter(os.open(Path('/run/netns', name), os.O_RDONLY))
        yield
    finally:
        _enter(home)


def _enter(descriptor: int) -> None:
    try:
        if _LIBC.setns(descriptor, _CLONE_NEWNET):  # os.setns came with Python 3.12
            raise OffloadError(f'setns: {os.strerror(ctypes.get_errno())}')
    finally:
        os.close(descriptor)


def _call(*words: str) -> str:
    try:
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as e:
        raise OffloadError(f'{words[0]} is missing; install iproute2 and nftables') from e
    except subprocess.CalledProcessError as e:
        raise OffloadError(f'{" ".join(words)}: {e.stderr.strip()}; network namespaces, veth and '
                           'tbf have to be allowed here and in the kernel') from e
