from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.bringup.config import (
    CameraConfig,
    EdgeConfig,
    MonsoonConfig,
    PowerConfig,
    RemoteConfig,
    Um25cConfig,
    check,
    make,
)
from offload_perception.errors import ConfigError

ALL = [f for cls in (CameraConfig, EdgeConfig, RemoteConfig, Um25cConfig, MonsoonConfig,
                     PowerConfig) for f in fields(cls)]
BY_NAME = {f.name: f for f in reversed(ALL)}


@pytest.mark.parametrize('f', ALL, ids=lambda f: f.name)
def test_every_parameter_is_described_and_its_default_is_valid(f: Any) -> None:
    assert len(f.metadata['description']) > 10
    assert check(f, f.default) == f.default
    if type(f.default) in (int, float):
        assert f.metadata['low'] is not None and f.metadata['high'] is not None


@pytest.mark.parametrize(('name', 'value', 'text'), [
    ('rate', -1, '0.0 .. 240'), ('rate', float('nan'), '0.0 .. 240'), ('rate', 'fast', 'float'),
    ('rate', True, 'float'), ('threads', 0, '1 .. 256'), ('threads', 2.0, 'int'),
    ('split', True, 'str'), ('transport', 'h264', 'raw, jpeg'), ('backend', 'int4', 'int8'),
    ('deadline', -1.0, '0.0 ..'), ('deadline', float('inf'), '3600'), ('model', [1], 'str')])
def test_a_wrong_value_is_named_with_what_would_be_right(name: str, value: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=f'parameter {name} is .*') as caught:
        check(BY_NAME[name], value)
    assert text in str(caught.value)


@pytest.mark.parametrize(('name', 'value', 'kept'), [
    ('rate', 10, 10.0), ('split', 14, '14'), ('deadline', 0, 0.0), ('port', '', '')])
def test_a_number_is_taken_in_the_parameters_type(name: str, value: int | str,
                                                  kept: float | str) -> None:
    found = check(BY_NAME[name], value)
    assert found == kept and type(found) is type(kept)


@given(st.floats() | st.integers())
def test_whatever_passes_lies_in_the_range(value: float) -> None:
    try:
        found = check(BY_NAME['deadline'], value)
    except ConfigError:
        return
    assert 0.0 <= found <= 3600.0


def test_make_keeps_defaults_and_ignores_what_it_does_not_know() -> None:
    made = make(CameraConfig, {'rate': 5, 'autostart': True})
    assert made == CameraConfig(rate=5.0)
