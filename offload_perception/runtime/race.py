"""Time alternatives against each other, in turns, so that all meet the same disturbances."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TypeVar

Key = TypeVar('Key')


def race(runs: Mapping[Key, Callable[[], object]], *, rounds: int = 30, budget_s: float = 0.5,
         clock: Callable[[], float] = perf_counter) -> dict[Key, float]:
    """Return the least time in seconds of each alternative.

    One round runs each once; there are at least three, then more until `rounds` or the budget
    is used up. The first round warms up and does not count.
    """
    least = dict.fromkeys(runs, float('inf'))
    start = clock()
    for done in range(rounds + 1):
        for key, run in runs.items():
            before = clock()
            run()
            if done:
                least[key] = min(least[key], clock() - before)
        if done >= 3 and clock() - start > budget_s:
            break
    return least
