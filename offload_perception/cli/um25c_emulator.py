"""Command `um25c_emulator`: an emulated UM25C, UM24C or UM34C on a pseudo terminal."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

import psutil

from offload_perception.console import command
from offload_perception.errors import ConfigError
from offload_perception.power.drivers.um25c import MODELS
from offload_perception.power.emulation.device_model import PRESETS, DeviceModel, preset
from offload_perception.power.emulation.emulator import EmulatedMeter
from offload_perception.power.emulation.emulator_server import (
    EmulatorServer,
    FaultPlan,
    control_socket,
)
from offload_perception.power.emulation.faults import Fault, fault_named
from offload_perception.power.emulation.pty_port import PtyPort

_EPILOG = """The first line printed is the port. Control messages, one per datagram: 'stage head
1.2' (idle power + 1.2 W), 'stage' (follow the CPU load again), 'load 0.5', 'fault silence 3',
'stats'. Every figure of this meter is emulated."""


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Serve until terminated."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _end)
    with suppress(KeyboardInterrupt):
        _serve(options)
    return 0


def _serve(options: argparse.Namespace) -> None:
    meter = EmulatedMeter(MODELS[options.model], _device(options), time.monotonic(),
                          ambient_c=options.temperature_c)
    plan = _plan(options)
    with ExitStack() as stack:
        control = None
        if options.control:
            control = stack.enter_context(control_socket(options.control))
            stack.callback(options.control.unlink, missing_ok=True)
        port = PtyPort(options.link)
        stack.callback(port.unplug)
        server = EmulatorServer(
            meter, port, plan, control=control, alive=_alive(options.detached),
            measure_load=lambda: psutil.cpu_percent() / 100)
        print(port.path, flush=True)
        server.run()


def _device(options: argparse.Namespace) -> DeviceModel:
    given = {'idle_w': options.idle_w, 'full_load_w': options.full_load_w}
    return replace(preset(options.device), **{k: v for k, v in given.items() if v is not None})


def _plan(options: argparse.Namespace) -> FaultPlan:
    if not 0.0 <= options.fault_probability <= 1.0:
        raise ConfigError(f'fault probability {options.fault_probability}: give 0 to 1')
    choices = tuple(fault_named(name) for name in options.faults.split(',') if name)
    lasting = fault_named(options.fault) if options.fault else None
    return FaultPlan(
        lasting, options.fault_probability, choices, random.Random(options.seed))


def _alive(detached: bool) -> Callable[[], bool]:
    """Return whether the process that started this one is still running."""
    parent = os.getppid()
    return lambda: detached or os.getppid() == parent


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=_EPILOG)
    add = parser.add_argument
    add('--model', choices=MODELS, default='UM25C')
    add('--link', type=Path, metavar='PATH', help='also make a symlink to the port here')
    add('--control', type=Path, metavar='PATH', help='listen on this unix datagram socket')
    add('--device', choices=PRESETS, default='raspberry_pi_3b_plus', help='whose power to draw')
    add('--idle-w', type=float, metavar='W', help="idle power, instead of the device's")
    add('--full-load-w', type=float, metavar='W', help='power at full CPU load')
    add('--temperature-c', type=float, default=25.0, metavar='C', help='around the meter')
    names = ','.join(fault.value for fault in Fault)
    add('--fault', metavar='NAME', help=f'a lasting fault: {names}')
    add('--fault-probability', type=float, default=0.0, metavar='P', help='per reply')
    add('--faults', default=names, metavar='LIST', help='the faults to choose from by chance')
    add('--seed', type=int, default=0, help='of the random faults')
    add('--detached', action='store_true', help='go on when the parent process ends')
    return parser


if __name__ == '__main__':
    sys.exit(main())
