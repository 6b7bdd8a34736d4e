"""Replies of UM meters that were published, and a builder for plausible ones."""

from typing import Any

from offload_perception.power.drivers.um25c import UM25C, Accumulator, Model, Reading

_ZERO_GROUPS = '00' * 64

# A complete capture: sebastianha/um34c, comment above the decoder in app.js.
UM34C_CAPTURE = bytes.fromhex(
    '0d4c01f5008e000002c7001b00510001' '0000000000000000' '0000000700000027' + _ZERO_GROUPS +
    '000200010007000000070000002500130000004600000001000400000160' '00008068')

# Bytes 0..127, the tail was not published: S3nsu1k4n/um34c_visualization, commands_models.py.
UM34C_WITHOUT_TAIL = bytes.fromhex(
    '0d4c01fc0017000000740021005c0000' '00000022000000ad' + '00' * 72 +
    '012100010000000000000000' '0000001e00000000000000000005000008a00000')

# A test vector of valletw/pyummeter (tests/test_ummeter.py), not a capture: a byte was changed by
# hand, so its checksum is wrong.
UM34C_WRONG_CHECKSUM = bytes.fromhex(
    '0d4c01fe014800000688001400440008' '0000000b00000038' + '00' * 72 +
    '000100020007000000100000' '0100000a000000f00000000200040001869f0002688c')


def reading(model: Model = UM25C, **changes: Any) -> Reading:
    """What a meter at 5 V and 0.4 A says."""
    values: dict[str, Any] = {
        'model': model, 'voltage_v': 5.0, 'current_a': 0.4, 'power_w': 2.0, 'temperature_c': 25,
        'temperature_f': 77, 'data_group': 0, 'groups': (Accumulator(10, 50),) * 10,
        'd_plus_v': 0.01, 'd_minus_v': 0.0, 'charging_mode': 7, 'recorded': Accumulator(7, 37),
        'record_threshold_a': 0.1, 'recorded_time_s': 70, 'recording': True,
        'screen_timeout_min': 1, 'backlight': 4, 'resistance_ohm': 12.5, 'screen': 0,
    }
    return Reading(**(values | changes))
