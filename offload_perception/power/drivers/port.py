"""Opens a serial port, and says in words what to do when that fails."""

from __future__ import annotations

import errno
import grp
import os

import serial
from serial.tools import list_ports

from offload_perception.errors import MeterError

BAUD = 9600
READ_SLICE_S = 0.1
"""The longest that one blocking read may take, so that a stop is noticed soon."""

_REMEDIES = {
    errno.ENOENT: 'there is no such port: pair the meter and run `rfcomm bind 0 <address> 1`',
    errno.EBUSY: 'it is busy: end the other program (or desktop Bluetooth applet) that holds it',
    errno.EAGAIN: 'it is busy: end the other program that holds it',
    errno.ENOTTY: 'it is not a serial port: give the device node of the meter',
    errno.EISDIR: 'it is a folder: give the device node of the meter',
    errno.EHOSTDOWN: 'the meter does not answer on Bluetooth: is it powered and in range?',
    errno.ETIMEDOUT: 'the meter does not answer on Bluetooth: is it powered and in range?',
    errno.EHOSTUNREACH: 'the meter does not answer on Bluetooth: is it powered and in range?',
    errno.ECONNREFUSED: 'the meter refuses the connection: pair it again, PIN 1234, channel 1',
    errno.EIO: 'the port does not work: release it and bind it again, or plug the cable again',
}


def open_port(path: str) -> serial.Serial:
    """Open a serial port for this program alone, 9600 baud 8N1.

    Raises `MeterError` that names the port, the cause and the remedy.
    """
    try:
        return serial.Serial(
            path, BAUD, timeout=READ_SLICE_S, write_timeout=1.0, exclusive=True)
    except (OSError, ValueError) as e:
        raise MeterError(f'cannot open {path}: {_remedy(path, e)}') from e


def _remedy(path: str, error: Exception) -> str:
    code = getattr(error, 'errno', None) or 0
    if code == errno.ENOENT:
        return f'{_REMEDIES[code]} (ports here: {_ports()})'
    if code in (errno.EACCES, errno.EPERM):
        group = _group_of(path)
        return (f'no permission: `sudo usermod -aG {group} $USER`, then log in again '
                f'(the port belongs to group {group})')
    if 'lock port' in str(error):
        return _REMEDIES[errno.EAGAIN]
    if 'configure port' in str(error):
        return _REMEDIES[errno.ENOTTY]
    return _REMEDIES.get(code, f'{error}; check cable, pairing and the name of the port')


def _ports() -> str:
    return ', '.join(sorted(port.device for port in list_ports.comports())) or 'none'


def _group_of(path: str) -> str:
    """The group that owns the port; 'dialout', as on Ubuntu, if unknown."""
    try:
        group = grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return 'dialout'
    return 'dialout' if group == 'root' else group
