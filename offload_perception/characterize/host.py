"""What has to be known of a computer to understand its figures."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from math import nan
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ('offload_perception', 'numpy', 'ai-edge-litert', 'tflite-runtime', 'openvino',
            'tensorflow', 'tensorflow-cpu')
# `vcgencmd get_throttled`: the same bits 16 higher tell that it happened since the start.
THROTTLED = {0: 'under-voltage', 1: 'frequency capped', 2: 'throttled',
             3: 'soft temperature limit'}


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
    """Return the highest temperature of the thermal zones [C]; NaN where there are none."""
    zones = (_text(str(zone)) for zone in Path('/sys/class/thermal').glob('thermal_zone*/temp'))
    return max((int(text) / 1000 for text in zones if text.lstrip('-').isdigit()), default=nan)


def throttled() -> str:
    """Return in words what the Raspberry Pi's firmware says; empty where nothing can be read."""
    with suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
        said = subprocess.run(['vcgencmd', 'get_throttled'], capture_output=True, text=True,
                              timeout=5.0, check=True).stdout
        return decode_throttled(int(said.split('=')[1], 16))
    return ''


def decode_throttled(bits: int) -> str:
    """Return the meaning of the flags: what is, and what has been since the start."""
    now = [text for bit, text in THROTTLED.items() if bits >> bit & 1]
    been = [f'{text} since the start' for bit, text in THROTTLED.items() if bits >> bit + 16 & 1]
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
