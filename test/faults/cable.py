"""A cable between two network namespaces, made of two TAP devices, that can be made worse."""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from threading import Thread
from typing import Any

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
QUEUE_S = 0.4  # of packets that wait for the link; more are dropped
FRAME_BYTES = 65536


@dataclass(frozen=True)
class Link:
    """What the cable does to packets, each way.

    `loss` and `twice` are shares of the packets; those later than others by `jitter_s` overtake.
    """

    up: bool = True
    bit_s: float = 1e9
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    twice: float = 0.0


PERFECT = Link()


def ip(*words: str) -> None:
    """Run the command `ip`."""
    subprocess.run(['ip', *words], check=True, capture_output=True, text=True)


class Cable:
    """Two namespaces and the cable between them; a context manager that removes all.

    :ivar link: what it does from now on.
    :raises OSError, subprocess.CalledProcessError: if they cannot be made here.
    """

    def __init__(self) -> None:
        self.link = PERFECT
        self.names = [f'faults{os.getpid()}{side}' for side in 'ab']
        self._taps: list[int] = []
        self._free_s = [0.0, 0.0]
        self._end_read, self._end_write = os.pipe()
        self._random = random.Random(0)
        self._thread = Thread(target=self._carry, name='cable')

    def around(self, side: int) -> tuple[str, ...]:
        """Return the words before a command that is to run at one end, 0 or 1."""
        return 'ip', 'netns', 'exec', self.names[side]

    def __enter__(self) -> 'Cable':
        with ExitStack() as undo:
            undo.callback(self._close)
            for side, name in enumerate(self.names):
                ip('netns', 'add', name)
                undo.callback(ip, 'netns', 'del', name)
                self._add_tap(name, side)
            self._thread.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._end_write, b'.')
        self._thread.join()
        self._undo.close()

    def _close(self) -> None:
        for fd in (*self._taps, self._end_read, self._end_write):
            os.close(fd)

    def _add_tap(self, name: str, side: int) -> None:
        device = f'tap{os.getpid()}{"ab"[side]}'
        tap = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
        self._taps.append(tap)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack('16sH', device.encode(), IFF_TAP | IFF_NO_PI))
        ip('link', 'set', device, 'netns', name)
        ip('-n', name, 'addr', 'add', f'10.78.{os.getpid() % 250}.{1 + side}/24', 'dev', device)
        ip('-n', name, 'link', 'set', 'lo', 'up')
        ip('-n', name, 'link', 'set', device, 'up')
        # Discovery is by multicast, which needs a route.
        ip('-n', name, 'route', 'add', '224.0.0.0/4', 'dev', device)

    def _carry(self) -> None:
        late: list[tuple[float, int, int, bytes]] = []  # when, order, to which end, what
        order = count()
        while True:
            timeout_s = max(0.0, late[0][0] - time.monotonic()) if late else None
            ready, _, _ = select.select([*self._taps, self._end_read], [], [], timeout_s)
            if self._end_read in ready:
                return
            for tap in ready:
                self._take(tap, late, order)
            while late and late[0][0] <= time.monotonic():
                _, _, side, packet = heapq.heappop(late)
                try:
                    os.write(self._taps[side], packet)
                except OSError:  # the other end takes no more: lost
                    continue

    def _take(self, tap: int, late: list[Any], order: Any) -> None:
        packet, side, link = os.read(tap, FRAME_BYTES), 1 - self._taps.index(tap), self.link
        now_s = time.monotonic()
        begins_s = max(now_s, self._free_s[side])
        chance = self._random.random
        if not link.up or chance() < link.loss or begins_s - now_s > QUEUE_S:
            return
        self._free_s[side] = begins_s + 8 * len(packet) / link.bit_s
        for _ in range(1 + (chance() < link.twice)):
            at_s = self._free_s[side] + link.delay_s + chance() * link.jitter_s
            heapq.heappush(late, (at_s, next(order), side, packet))
