"""The names of drones and servers as people count them."""

import re
from collections.abc import Iterable


def in_order(names: Iterable[str]) -> list[str]:
    """Return names sorted, numbers in them as numbers: drone2 is before drone10."""
    return sorted(names, key=lambda name: [
        (0, int(part), '') if part.isdecimal() else (1, 0, part)
        for part in re.findall(r'[0-9]+|[^0-9]+', name)])
