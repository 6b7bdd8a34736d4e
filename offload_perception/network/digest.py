"""SHA-256 of files."""

import hashlib
from pathlib import Path

from offload_perception.errors import ModelError


def file_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file.

    :raises ModelError: if it cannot be read.
    """
    try:
        with open(path, 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as e:
        raise ModelError(f'{path} cannot be read ({e.strerror}); check the path') from e
