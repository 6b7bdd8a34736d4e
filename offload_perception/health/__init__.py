"""What is wrong with a node, its inputs and its computer, in words an operator can act on.

Plain data and small watches: a node passes what it sees to a watch, which returns findings.
"""

from offload_perception.health.finding import (
    NOT_ACTIVE,
    Finding,
    Level,
    as_values,
    error,
    findings_of,
    note,
    verdict,
    warning,
)
from offload_perception.health.steady import Steady

__all__ = [
    'NOT_ACTIVE',
    'Finding',
    'Level',
    'Steady',
    'as_values',
    'error',
    'findings_of',
    'note',
    'verdict',
    'warning',
]
