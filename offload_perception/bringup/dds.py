"""DDS settings of the processes of a graph, and removal of what killed ones leave."""

import fcntl
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from offload_perception.bringup.installed import shared

PROFILE_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
MEMORY_VARIABLE = 'RMW_FASTRTPS_USE_QOS_FROM_XML'
"""Has the profile say how queues keep memory; each topic's QoS stays what its node asks for."""
RANGE_VARIABLE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
_USERS_OWN = (PROFILE_VARIABLE, 'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTDDS_BUILTIN_TRANSPORTS')

_SHARED_MEMORY = Path('/dev/shm')
_LOCK = re.compile(r'fastrtps_[0-9a-f]{16}_el')
YOUNG_S = 10.0


def profile_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that have Fast DDS use this package's profile, config/fastdds.xml.

    Empty if the user has chosen settings already, or if the profile is not installed.
    Other middlewares ignore it.
    """
    if any(environment.get(name) for name in _USERS_OWN):
        return {}
    profile = shared('config', 'fastdds.xml', environment=environment)
    return {PROFILE_VARIABLE: str(profile),
            MEMORY_VARIABLE: environment.get(MEMORY_VARIABLE) or '1'} if profile else {}


def stay_on_this_host() -> None:
    """Have nodes of this process be found on this computer alone, unless the user says otherwise.

    ROS 2 itself would search the whole network; call this before `rclpy.init`.
    """
    os.environ.setdefault(RANGE_VARIABLE, 'LOCALHOST')


def security_environment(keystore: str) -> dict[str, str]:
    """Return the variables with which a node takes part only with its enclave's credentials.

    :param keystore: folder of SROS2; empty = without security.
    """
    if not keystore:
        return {}
    return {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce',
            'ROS_SECURITY_KEYSTORE': str(Path(keystore).expanduser().resolve())}


def remove_leftovers(folder: Path = _SHARED_MEMORY) -> int:
    """Remove the shared memory that killed processes have left; return how many bytes that was.

    Fast DDS keeps a lock on a file beside each segment, which the kernel releases with the
    process: a segment whose file can be locked has no owner. The file of a process that is
    starting may exist and not be locked yet, so recent ones are kept.
    """
    try:
        names = [name for name in os.listdir(folder) if _LOCK.fullmatch(name)]
    except OSError:  # not Linux, or without shared memory
        return 0
    return sum(_remove_if_left(folder / name) for name in names)


def _remove_if_left(lock: Path) -> int:
    segment = lock.with_name(lock.name.removesuffix('_el'))
    try:
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(file.fileno()).st_mtime < YOUNG_S:
                return 0
            size = segment.stat().st_size if segment.exists() else 0
            segment.unlink(missing_ok=True)
            lock.unlink()
    except OSError:  # in use, another user's, or gone already
        return 0
    return size
