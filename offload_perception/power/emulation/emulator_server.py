"""Runs an emulated meter on a pty: timing, faults and a control socket."""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offload_perception.errors import ConfigError, OffloadError
from offload_perception.power.drivers import commands
from offload_perception.power.emulation.emulator import EmulatedMeter
from offload_perception.power.emulation.faults import Fault, fault_named, reply
from offload_perception.power.emulation.pty_port import PtyPort

UNPLUGGED_S = 1.0  # until a port that a fault unplugged is back


@dataclass
class FaultPlan:
    """Which fault hits the next reply: injected ones first, then the lasting one, then chance."""

    lasting: Fault | None = None
    probability: float = 0.0
    choices: tuple[Fault, ...] = tuple(Fault)
    random: random.Random = field(default_factory=random.Random)
    injected: deque[Fault] = field(default_factory=deque)

    def next(self) -> Fault | None:
        """Return the fault for one reply, None for a sound one."""
        if self.injected:
            return self.injected.popleft()
        if self.lasting is not None:
            return self.lasting
        return self.random.choice(self.choices) if self._by_chance() else None

    def _by_chance(self) -> bool:
        return bool(self.choices) and self.random.random() < self.probability


class EmulatorServer:
    """One thread that waits for whichever is next: a byte, a message, a due piece or refresh.

    `measure_load` returns the CPU load, 0..1, once per refresh; `alive` is asked as often and
    ends `run` when it is false.
    """

    def __init__(
        self, meter: EmulatedMeter, port: PtyPort, plan: FaultPlan, *,
        measure_load: Callable[[], float] | None = None, control: socket.socket | None = None,
        alive: Callable[[], bool] = lambda: True, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meter, self._port, self._plan, self._clock = meter, port, plan, clock
        self._measure_load, self._control, self._alive = measure_load, control, alive
        self._outgoing: deque[tuple[float, bytes]] = deque()
        self._plug_at_s: float | None = None
        self.requests = 0
        self.faults: Counter[str] = Counter()

    def run(self) -> None:
        """Serve until `alive` says no."""
        while self._alive():
            self._wait()
            now_s = self._clock()
            self._refresh(now_s)
            self._plug_again(now_s)
            self._read_control(now_s)
            self._read_client(now_s)
            self._send_due(now_s)

    def _wait(self) -> None:
        due = [self._meter.next_refresh_s]
        due += [self._outgoing[0][0]] if self._outgoing else []
        due += [] if self._plug_at_s is None else [self._plug_at_s]
        sources = [s for s in (self._control, self._port) if s is not None and s.fileno() >= 0]
        select.select(sources, [], [], max(0.0, min(due) - self._clock()))

    def _refresh(self, now_s: float) -> None:
        if now_s >= self._meter.next_refresh_s and self._measure_load is not None:
            self._meter.set_load(self._measure_load(), now_s)
        self._meter.advance(now_s)

    def _plug_again(self, now_s: float) -> None:
        if self._plug_at_s is not None and now_s >= self._plug_at_s:
            self._plug_at_s = None
            self._port.plug()

    def _read_client(self, now_s: float) -> None:
        if not self._port.plugged:
            return
        for code in self._port.read():
            command = bytes([code])
            if command == commands.READ:
                self._answer(now_s)
            else:
                self._meter.execute(command)

    def _answer(self, now_s: float) -> None:
        self.requests += 1
        if (fault := self._plan.next()) is not None:
            self.faults[fault.value] += 1
        if fault is Fault.DISCONNECT:
            self._disconnect(now_s)
            return
        due_s = max(now_s, self._outgoing[-1][0] if self._outgoing else now_s)
        for piece in reply(self._meter.frame(), fault, self._plan.random):
            due_s += piece.after_s
            self._outgoing.append((due_s, piece.data))

    def _disconnect(self, now_s: float) -> None:
        self._port.unplug()
        self._outgoing.clear()
        self._plug_at_s = now_s + UNPLUGGED_S

    def _send_due(self, now_s: float) -> None:
        while self._outgoing and self._outgoing[0][0] <= now_s:
            self._port.write(self._outgoing.popleft()[1])

    def _read_control(self, now_s: float) -> None:
        """Carry out the messages on the control socket; a sender with an address is answered."""
        while self._control is not None:
            try:
                message, sender = self._control.recvfrom(4096)
            except BlockingIOError:
                return
            answer = self._carry_out(message.decode(errors='replace'), now_s)
            if answer and sender:
                with suppress(OSError):
                    self._control.sendto(answer.encode(), sender)

    def _carry_out(self, message: str, now_s: float) -> str:
        try:
            verb, *words = message.split() or ['']
            return self._obey(verb, words, now_s)
        except (OffloadError, ValueError, TypeError) as e:
            print(f'control message {message!r}: {e}', file=sys.stderr, flush=True)
            return f'error: {e}'

    def _obey(self, verb: str, words: list[str], now_s: float) -> str:
        if verb == 'stage':
            self._set_stage(now_s, *words)
            return ''
        if verb == 'fault':
            return self._inject(*words)
        if verb == 'load':
            self._measure_load = None
            self._meter.set_load(float(words[0]) if words else 0.0, now_s)
            return 'ok'
        if verb == 'stats':
            return json.dumps(self.stats())
        raise ConfigError('known messages are stage, fault, load and stats')

    def _set_stage(self, now_s: float, name: str = '', extra_w: str = '') -> None:
        """`stage head 1.2` adds 1.2 W to idle, `stage head` full load, `stage` ends it."""
        device = self._meter.device
        full_w = device.full_load_w - device.idle_w
        power_w = float(extra_w) if extra_w else (full_w if name else None)
        self._meter.run_stage(name, power_w, now_s)

    def _inject(self, name: str, count: str = '1') -> str:
        self._plan.injected.extend([fault_named(name)] * int(count))
        return 'ok'

    def stats(self) -> dict[str, Any]:
        """Return what was asked and what was done to it, and the true energy so far."""
        return {
            'requests': self.requests, 'faults': dict(self.faults),
            'energy_j': self._meter.energy_j, 'stage': self._meter.stage,
        }


def control_socket(path: Path) -> socket.socket:
    """Open the datagram socket that takes control messages."""
    path.unlink(missing_ok=True)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        control.bind(str(path))
    except OSError as e:
        control.close()
        raise ConfigError(f'cannot make the control socket {path}: {e}') from e
    control.setblocking(False)
    return control
