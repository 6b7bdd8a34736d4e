"""Time alternatives against each other, in turns, so that all meet the same disturbances."""

from collections.abc import Callable, Mapping
from time import perf_counter, sleep
from typing import TypeVar

Key = TypeVar('Key')


def race(runs: Mapping[Key, Callable[[], object]], *, rounds: int = 30, budget_s: float = 0.5,
         rest: float = 0.0, clock: Callable[[], float] = perf_counter,
         sleep: Callable[[float], object] = sleep) -> dict[Key, float]:
    """Return the least time in seconds of each alternative.

    One round runs each once; there are at least three, then more until `rounds` or the budget
    of running time is used up. The first round warms up and does not count. After each run
    there is a pause `rest` times as long, which leaves the cores to others.
    """
    least = dict.fromkeys(runs, float('inf'))
    used_s = 0.0
    for done in range(rounds + 1):
        for key, run in runs.items():
            before = clock()
            run()
            took_s = clock() - before
            used_s += took_s
            if done:
                least[key] = min(least[key], took_s)
            if rest:
                sleep(rest * took_s)
        if done >= 3 and used_s > budget_s:
            break
    return least
