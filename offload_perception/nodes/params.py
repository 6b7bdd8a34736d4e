"""Declare a node's ROS parameters from its configuration class, and keep them valid."""

from dataclasses import Field, fields
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from offload_perception.bringup.config import Config, StartConfig, check, make
from offload_perception.errors import ConfigError


def _descriptor(f: Field[Any]) -> ParameterDescriptor:
    meta = f.metadata
    text = f.metadata['description']
    if meta['choices']:
        text = f'{text}; one of {", ".join(meta["choices"])}'
    # Dynamic typing lets `rate:=10` and `split:=14` through; `check` settles the type.
    d = ParameterDescriptor(description=text, dynamic_typing=type(f.default) in (float, str))
    if meta['low'] is not None:
        kind = FloatingPointRange if isinstance(f.default, float) else IntegerRange
        bounds = kind(from_value=meta['low'], to_value=meta['high'])
        if isinstance(f.default, float):
            d.floating_point_range = [bounds]
        else:
            d.integer_range = [bounds]
    return d


def declare_discovery_s(node: Node, default_s: float) -> float:
    """Declare how long a node looks at its start for another of its name, and return it [s].

    :raises ConfigError: for a value that it cannot take.
    """
    field, = fields(StartConfig)
    value = node.declare_parameter(field.name, default_s, _descriptor(field)).value
    return float(check(field, value))


def declare(node: Node, cls: type[Config]) -> None:
    """Declare one parameter for each field of `cls`.

    Values from outside are declared unchecked; `read` reports what is wrong with them.
    """
    for f in fields(cls):
        node.declare_parameter(f.name, f.default, _descriptor(f))


def read(node: Node, cls: type[Config]) -> Config:
    """Return the parameters' values as a `cls`; raises ConfigError if one is wrong."""
    return make(cls, {f.name: node.get_parameter(f.name).value for f in fields(cls)})


def verdict(cls: type[Config], changes: list[Parameter],
            current: Config | None) -> SetParametersResult:
    """Return whether a node can take these parameter values.

    :param current: its configuration; None = not configured yet.
    """
    known = {f.name: f for f in fields(cls)}
    for change in changes:
        f = known.get(change.name)
        if f is None:
            continue
        try:
            value = check(f, change.value)
        except ConfigError as e:
            return _refused(str(e))
        # The current value is not a change: a node accepts the dump of its own parameters.
        if current is not None and not f.metadata['dynamic'] and value != getattr(current, f.name):
            return _refused(f'{f.name} cannot change while the node is configured: deactivate and '
                            'clean it up first')
    return SetParametersResult(successful=True)


def _refused(reason: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=reason)


def changed(cls: type[Config], current: Config, changes: list[Parameter]) -> dict[str, Any]:
    """Return the changed fields of `cls`, checked."""
    known = {f.name: f for f in fields(cls)}
    return {c.name: check(known[c.name], c.value) for c in changes if c.name in known
            and check(known[c.name], c.value) != getattr(current, c.name)}
