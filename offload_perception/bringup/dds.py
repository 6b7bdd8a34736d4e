"""DDS settings of the processes of a graph, and removal of what killed ones leave."""

import atexit
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from offload_perception.bringup.installed import shared
from offload_perception.errors import ConfigError

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""The Fast DDS 2 of Jazzy reads the first, and Fast DDS 3 of Kilted and later the second."""
MEMORY_VARIABLE = 'RMW_FASTRTPS_USE_QOS_FROM_XML'
"""Has the profile say how queues keep memory; each topic's QoS stays what its node asks for."""
RANGE_VARIABLE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
SUBNET = 'subnet'
_USERS_OWN = (*PROFILE_VARIABLES, 'FASTDDS_BUILTIN_TRANSPORTS')

_SHARED_MEMORY = Path('/dev/shm')
_PEERS = re.compile(r'(?:<locator>.*192\.168\..*</locator>\s*)+')
_LOCK = re.compile(r'fast(rtps|dds)_[0-9a-f]{16}_el')  # of Fast DDS 2 and 3
YOUNG_S = 10.0


def profile_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that have Fast DDS use this package's profile, config/fastdds.xml.

    Empty if the user has chosen settings already, or if the profile is not installed.
    Other middlewares ignore it.
    """
    if any(environment.get(name) for name in _USERS_OWN):
        return {}
    profile = shared('config', 'fastdds.xml', environment=environment)
    return with_profile(profile, environment) if profile else {}


def with_profile(file: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that have Fast DDS use a profile, its memory policies too.

    :param file: in the terms of Fast DDS 2; version 3 gets a copy in its own.
    """
    older, newer = PROFILE_VARIABLES
    profile = {older: str(file)} if environment.get('ROS_DISTRO', 'jazzy') == 'jazzy' else {
        newer: str(_copy(file.read_text().replace('heartbeatPeriod', 'heartbeat_period')))}
    return {**profile, MEMORY_VARIABLE: environment.get(MEMORY_VARIABLE) or '1'}


def discovery_environment(discovery: str, environment: Mapping[str, str] = os.environ
                          ) -> dict[str, str]:
    """Return the variables with which nodes find those that `discovery` says.

    :param discovery: empty = as the environment says, or else on this computer alone; `subnet` =
        also on the network, by multicast; else the IPv4 addresses of the other computers, with
        commas between, for networks without multicast.
    :raises ConfigError: for another text, or for addresses if the user has a DDS profile already.
    """
    if not discovery:
        return profile_environment(environment)
    if discovery == SUBNET:
        return {RANGE_VARIABLE: 'SUBNET', **profile_environment(environment)}
    addresses = parse_addresses(discovery)
    if set_already := [name for name in _USERS_OWN if environment.get(name)]:
        raise ConfigError(f'discovery:={discovery} needs a DDS profile of its own, and '
                          f'{set_already[0]} is set; put the addresses there, or unset it')
    profile = shared('config', 'static_peers.xml', environment=environment)
    if not profile:
        raise ConfigError(f'discovery:={discovery} needs config/static_peers.xml, which is not '
                          'installed here; source the workspace')
    return {RANGE_VARIABLE: 'SYSTEM_DEFAULT',
            **with_profile(_with_peers(profile, addresses), environment)}


def parse_addresses(text: str) -> tuple[str, ...]:
    """Return the IPv4 addresses in a text with commas between; raises ConfigError."""
    try:
        return tuple(str(IPv4Address(word.strip())) for word in text.split(','))
    except AddressValueError as e:
        raise ConfigError(f"use '{SUBNET}' or IPv4 addresses with commas between ({e})") from e


def _with_peers(profile: Path, addresses: tuple[str, ...]) -> Path:
    """Return a copy of the profile with other addresses."""
    locators = ''.join(f'<locator><udpv4><address>{address}</address></udpv4></locator>\n'
                       for address in addresses)
    text, found = _PEERS.subn(locators, profile.read_text())
    if found != 1:
        raise ConfigError(f'{profile} has no addresses 192.168... to be replaced')
    return _copy(text)


@cache
def _copy(text: str) -> Path:
    """Return a file with a profile, which is removed when this process ends."""
    with tempfile.NamedTemporaryFile('w', prefix='offload_perception_', suffix='.xml',
                                     delete=False) as file:
        file.write(text)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return Path(file.name)


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
