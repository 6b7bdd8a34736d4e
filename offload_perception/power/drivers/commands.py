"""The one-byte commands of the UM series, by name.

Only `READ` is answered. `CLEAR_DATA_GROUP`, the data group and the recording threshold change what
the meter has stored: nothing in this package sends them unless it is asked to. What a byte means
differs by model (rdserialtool, pyummeter), so those that do are functions of the model.
"""

from __future__ import annotations

from collections.abc import Callable

from offload_perception.errors import MeterError
from offload_perception.power.drivers.um25c import GROUP_COUNT, UM24C, Model

READ = b'\xf0'
NEXT_SCREEN = b'\xf1'
ROTATE_SCREEN = b'\xf2'
CLEAR_DATA_GROUP = b'\xf4'

MAX_THRESHOLD_A = 0.30
MAX_BACKLIGHT = 5
MAX_SCREEN_TIMEOUT_MIN = 9

_F3 = b'\xf3'


def previous_screen(model: Model) -> bytes:
    """Show the previous screen; the UM24C has no such command."""
    if model == UM24C:
        raise MeterError('the UM24C cannot go back a screen: use the next-screen command')
    return _F3


def next_data_group(model: Model) -> bytes:
    """Advance to the next data group: UM24C only."""
    if model != UM24C:
        raise MeterError(f'the {model.name} has no next-group command: select a group by number')
    return _F3


def select_data_group(model: Model, group: int) -> bytes:
    """Select data group 0..9: not on the UM24C, which can only advance."""
    if model == UM24C:
        raise MeterError('the UM24C cannot select a group by number: use the next-group command')
    return _numbered(0xA0, group, GROUP_COUNT - 1, 'data group')


def set_backlight(level: int) -> bytes:
    """Set the backlight, 0 (off) to 5."""
    return _numbered(0xD0, level, MAX_BACKLIGHT, 'backlight')


def set_screen_timeout(minutes: int) -> bytes:
    """Switch the screen off after 1..9 minutes; 0 keeps it on."""
    return _numbered(0xE0, minutes, MAX_SCREEN_TIMEOUT_MIN, 'screen timeout in minutes')


def set_record_threshold(current_a: float) -> bytes:
    """Count as recorded what flows above this current: 0.00..0.30 A in steps of 0.01 A."""
    if not 0.0 <= current_a <= MAX_THRESHOLD_A:
        raise MeterError(
            f'recording threshold {current_a} A: the meter takes 0.00 to {MAX_THRESHOLD_A:.2f} A')
    return bytes([0xB0 + round(current_a * 100)])


# Services of a meter's node, and the command that each sends.
SERVICES: dict[str, Callable[[Model], bytes]] = {
    'next_screen': lambda model: NEXT_SCREEN,
    'previous_screen': previous_screen,
    'rotate_screen': lambda model: ROTATE_SCREEN,
    'next_data_group': next_data_group,
    'clear_data_group': lambda model: CLEAR_DATA_GROUP,
}


def changes_counters(command: bytes) -> bool:
    """Whether the meter's counters may go back after this command."""
    return command in (CLEAR_DATA_GROUP, _F3) or 0xA0 <= command[0] <= 0xA9


def _numbered(base: int, number: int, highest: int, what: str) -> bytes:
    if not 0 <= number <= highest:
        raise MeterError(f'{what} {number}: the meter takes 0 to {highest}')
    return bytes([base + number])
