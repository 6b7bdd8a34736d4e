"""Facts about a computer that are needed to understand its figures."""

import os
import platform
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from math import nan
from pathlib import Path
from typing import Any

import psutil

from offload_perception.health.board import Board, decode_flags

PACKAGES = ('offload_perception', 'numpy', 'ai-edge-litert', 'tflite-runtime', 'openvino',
            'tensorflow', 'tensorflow-cpu')


def describe() -> dict[str, Any]:
    """Return kind, processor, memory, governor and package versions, JSON-ready."""
    return {
        'machine': platform.machine(), 'system': f'{platform.system()} {platform.release()}',
        'board': _text('/proc/device-tree/model'), 'processor': _processor(),
        'cores': os.cpu_count(), 'memory_bytes': psutil.virtual_memory().total,
        'governor': _text('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'),
        'python': platform.python_version(), 'packages': _versions()}


def state() -> dict[str, Any]:
    """Return what changes while measuring: temperature [C], load and throttling, JSON-ready."""
    return {'temperature_c': temperature_c(), 'load_average': os.getloadavg()[0],
            'throttled': throttled()}


def temperature_c() -> float:
    """Return the highest temperature of the thermal zones [C]; NaN if there are none."""
    return max((zone.temperature_c for zone in Board().zones()), default=nan)


def throttled() -> str:
    """Return in words what the Raspberry Pi's firmware says; empty if nothing can be read."""
    flags = Board().flags(time.monotonic())
    return '' if flags is None else decode_throttled(flags)


def decode_throttled(bits: int) -> str:
    """Return the meaning of the flags: active now, and active since the start."""
    now, been = decode_flags(bits)
    been = [f'{text} since the start' for text in been]
    return ', '.join([*now, *been]) or 'no'


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _processor() -> str:
    lines = _text('/proc/cpuinfo').splitlines()
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors='replace').strip('\0\n ')
    except OSError:
        return ''
