"""Which power meters there are: the table of all kinds, and what a text such as `hwmon:...` means.

A new kind of meter is a module with a `PowerMeter`, and a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from offload_perception.errors import MeterError
from offload_perception.incoming import text
from offload_perception.power.drivers import hwmon, power_supply, rapl
from offload_perception.power.drivers.meter import open_um_meter
from offload_perception.power.drivers.monsoon import open_monsoon_source
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.sysfs import SYSFS

LONGEST = 500
"""Characters of a source."""
_LEGACY = '/dev/ttyS'  # ports of the mainboard, where no such meter is
Open = Callable[[str, Path], PowerMeter]


@dataclass(frozen=True)
class Kind:
    """A kind of meter.

    :ivar form: how a source of it is written, and what it is.
    :ivar open: from the text after the colon and the folder of the kernel's files to a meter;
        None: a node opens it, as it is a topic.
    :ivar found: from the folder of the kernel's files to what may be written after the colon here.
    """

    name: str
    form: str
    open: Open | None
    found: Callable[[Path], list[str]] = lambda root: []


KINDS = (
    Kind('um25c', 'um25c:PORT (a UM25C, UM24C or UM34C)',
         lambda port, root: open_um_meter(port),
         lambda root: sorted(port.device for port in list_ports.comports()
                             if not port.device.startswith(_LEGACY))),
    Kind('monsoon', 'monsoon:SERIAL (a Monsoon HVPM; 0 takes the first)',
         lambda argument, root: open_monsoon_source(argument)),
    Kind('hwmon', "hwmon:CHIP/RAIL (a sensor of Linux' hwmon, such as an INA219)",
         hwmon.open_hwmon, lambda root: [rail.source for rail in hwmon.rails(root)]),
    Kind('power_supply', 'power_supply:NAME (a battery that Linux knows)',
         power_supply.open_power_supply,
         lambda root: [folder.name for folder in power_supply.supplies(root)]),
    Kind('rapl', "rapl:ZONE (the processor's own counter, such as rapl:package-0)",
         rapl.open_rapl, lambda root: [name for name, _ in rapl.zones(root)]),
    Kind('battery', "battery:TOPIC (a BatteryState, such as the autopilot's; "
         'battery:TOPIC:positive if it shows a discharge as positive)', None),
    Kind('topic', 'topic:TOPIC (a PowerSample of another node)', None),
)


def parse(source: str) -> tuple[Kind, str]:
    """Return the kind of a source, and the text after its colon.

    :raises MeterError: if there is no such kind; it lists them.
    """
    name, colon, argument = source.partition(':')
    kind = next((k for k in KINDS if k.name == name), None)
    if not colon or kind is None or len(source) > LONGEST or not source.isprintable():
        raise MeterError(f"'{text(source)}' names no power meter; write "
                         f'{", ".join(k.form for k in KINDS)}')
    return kind, argument


def open_power_source(source: str, root: Path = SYSFS) -> PowerMeter:
    """Open the meter that a source names.

    :param root: folder of the kernel's files; tests pass their own.
    :raises MeterError: if it cannot be had; it names what is found on this computer.
    """
    kind, argument = parse(source)
    if kind.open is None:
        raise MeterError(f'{text(source)} is a topic, which only power_node can read')
    try:
        return kind.open(argument, root)
    except MeterError as e:
        raise MeterError(f'{text(source)}: {e} (found on this computer: {found(root)})') from e


def found(root: Path = SYSFS) -> str:
    """Return in words which sources there are on this computer."""
    there = [f'{kind.name}:{text(name)}' for kind in KINDS for name in kind.found(root)]
    return ', '.join(there[:20]) or 'none'
