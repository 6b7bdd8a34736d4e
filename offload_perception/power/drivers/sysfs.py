"""Numbers and names from files of the kernel, checked: one value a file, in ASCII."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from offload_perception.errors import MeterError
from offload_perception.incoming import text
from offload_perception.power.drivers.power_meter import LinkLost, ReadingRefused

SYSFS = Path('/sys')
LONGEST = 4096
"""Bytes; the kernel never gives more of such a file than a page."""
_INTEGER = re.compile(rb'[+-]?[0-9]{1,19}')
_REMEDIES = {
    errno.ENOENT: 'there is no such file: is the driver loaded?',
    errno.ENODEV: 'the device is gone',
    errno.ENODATA: 'the kernel has no value: is the sensor enabled?',
}


def read_text(file: Path) -> str:
    """Return what a file says, without white space around it.

    :raises LinkLost: if it cannot be read; it names the file, the cause and the remedy.
    """
    return _read(file).decode('ascii', 'replace').strip()


def read_integer(file: Path, low: int, high: int) -> int:
    """Return the integer of a file.

    :raises LinkLost: if the file cannot be read.
    :raises ReadingRefused: if it holds none, or one that is not in `low` .. `high`.
    """
    data = _read(file).strip()
    if not _INTEGER.fullmatch(data):
        raise ReadingRefused(f'{file.name} holds no integer',
                             f"{file} says '{text(data[:40].decode('ascii', 'replace'))}'")
    if not low <= (value := int(data)) <= high:
        raise ReadingRefused(f'{file.name} out of range',
                             f'{file} says {value}, not {low} .. {high}')
    return value


def read_name(file: Path) -> str:
    """Return a name or a label, fit to be shown; '' if the file cannot be read."""
    try:
        return text(read_text(file))
    except MeterError:
        return ''


def folders(parent: Path, pattern: str = '*') -> list[Path]:
    """Return the folders in `parent` in the order of their numbers; none if it is not there."""
    def order(folder: Path) -> list[tuple[int, str]]:
        return [(int(part), '') if part.isdigit() else (-1, part)
                for part in re.split(r'(\d+)', folder.name)]
    return sorted((f for f in parent.glob(pattern) if f.is_dir()), key=order)


def _read(file: Path) -> bytes:
    try:
        with file.open('rb') as f:
            return f.read(LONGEST)
    except OSError as e:
        remedy = _REMEDIES.get(e.errno or 0, e.strerror)
        if e.errno in (errno.EACCES, errno.EPERM):
            remedy = (f'no permission: only root may read it, since Linux 5.10 for a counter of '
                      f'energy (CVE-2020-8694); `sudo chmod a+r {file}` until the next boot, or '
                      'a udev rule')
        raise LinkLost(f'cannot read {file}: {remedy}') from e
