"""Records that carry a SHA-256 of themselves: a file that was damaged on its way is found.

It is no signature: a program that can write the file can seal it again.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from offload_perception.errors import IncomingError

KEY = 'sha256'


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON-ready record with its digest; `record` has none, or an old one."""
    return {**record, KEY: _digest(record)}


def check_seal(record: Mapping[str, Any]) -> None:
    """Refuse a record that is not as it was sealed; one without a digest is taken.

    :raises IncomingError: with the remedy.
    """
    if KEY in record and record[KEY] != _digest(record):
        raise IncomingError(f'it is not as it was written: its {KEY} does not fit; copy it again, '
                            f'or remove "{KEY}" from it if you changed it yourself')


def _digest(record: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(record))  # keys are texts then, in this order
    plain.pop(KEY, None)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
