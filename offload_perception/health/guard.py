"""Error boundaries of the health code: a fault in it becomes a finding and ends no node."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from offload_perception.health.finding import Finding, error
from offload_perception.threads import Worker

log = logging.getLogger(__name__)


def guarded(name: str, source: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of `source`; if it raises, a finding with the fault comes last."""
    try:
        yield from source()
    except Exception as e:
        log.debug('health of %s', name, exc_info=e)
        yield fault(name, e)


def guarded_values(name: str, source: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the values of `source`; if it raises, the fault under `name`."""
    try:
        return source()
    except Exception as e:
        log.debug('values of %s', name, exc_info=e)
        return {name: f'unknown: {type(e).__name__}: {e}'}


def fault(name: str, e: Exception) -> Finding:
    """Return the finding for a source of findings or values that raised."""
    return error(f'health of {name}', f'the health of {name} is unknown: '
                 f'{type(e).__name__}: {e}')


def thread_findings(workers: Iterable[Worker]) -> Iterator[Finding]:
    """Yield the threads that are failing or were ended by an exception."""
    for w in workers:
        what = 'has ended' if w.dead else 'fails'
        remedy = '; restart this node' if w.dead else ''
        yield error(f'thread {w.name}', f'thread {w.name} {what}: {w.trouble}{remedy}')
