"""Where this package is installed, by the ament index."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

_NAME = 'offload_perception'


def find(*parts: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file below the first prefix that has it, None if there is none."""
    for prefix in filter(None, environment.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        file = Path(prefix, *parts)
        if file.is_file():
            return file
    return None


def shared(*parts: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return an installed data file, such as `config`, `fastdds.xml`."""
    return find('share', _NAME, *parts, environment=environment)


def executable(name: str) -> str | None:
    """Return the path of one of this package's executables; `ros2 run` looks there too, and they
    are usually not on the PATH.
    """
    found = find('lib', _NAME, name)
    return str(found) if found else shutil.which(name)
