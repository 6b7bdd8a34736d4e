"""Which DDS settings the processes of a graph start with."""

import os
from collections.abc import Mapping
from pathlib import Path

PROFILE_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
_USERS_OWN = (PROFILE_VARIABLE, 'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTDDS_BUILTIN_TRANSPORTS')


def profile_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variable that points Fast DDS to this package's profile, config/fastdds.xml.

    Empty where the user has chosen settings already, or where the profile is not installed.
    Other middlewares ignore it.
    """
    if any(environment.get(name) for name in _USERS_OWN):
        return {}
    for prefix in environment.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        profile = Path(prefix, 'share', 'offload_perception', 'config', 'fastdds.xml')
        if profile.is_file():
            return {PROFILE_VARIABLE: str(profile)}
    return {}
