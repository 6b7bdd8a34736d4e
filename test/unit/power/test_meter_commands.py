from collections.abc import Callable
from typing import Any

import pytest

from offload_perception.errors import MeterError
from offload_perception.power.drivers import commands
from offload_perception.power.drivers.um25c import UM24C, UM25C, UM34C


@pytest.mark.parametrize(('command', 'byte'), [
    (commands.READ, 0xF0),
    (commands.NEXT_SCREEN, 0xF1),
    (commands.ROTATE_SCREEN, 0xF2),
    (commands.previous_screen(UM25C), 0xF3),
    (commands.next_data_group(UM24C), 0xF3),
    (commands.CLEAR_DATA_GROUP, 0xF4),
    (commands.select_data_group(UM34C, 9), 0xA9),
    (commands.set_record_threshold(0.0), 0xB0),
    (commands.set_record_threshold(0.29), 0xCD),
    (commands.set_record_threshold(0.30), 0xCE),
    (commands.set_backlight(5), 0xD5),
    (commands.set_screen_timeout(9), 0xE9),
])
def test_bytes(command: bytes, byte: int) -> None:
    assert command == bytes([byte])


@pytest.mark.parametrize('wrong', [
    lambda: commands.previous_screen(UM24C),
    lambda: commands.next_data_group(UM25C),
    lambda: commands.select_data_group(UM24C, 1),
    lambda: commands.select_data_group(UM25C, 10),
    lambda: commands.set_record_threshold(0.31),
    lambda: commands.set_backlight(-1),
    lambda: commands.set_screen_timeout(10),
])
def test_what_a_model_cannot_do_is_refused(wrong: Callable[..., Any]) -> None:
    with pytest.raises(MeterError):
        wrong()


def test_only_commands_on_stored_data_change_counters() -> None:
    changing = {code for code in range(256) if commands.changes_counters(bytes([code]))}
    assert changing == {0xF3, 0xF4, *range(0xA0, 0xAA)}
