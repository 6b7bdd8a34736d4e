"""Numbers the refreshes of a meter, from polls that show only when a value has changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TOLERANCE = 0.02
"""Relative difference of the meter's period from its nominal one, at most."""
_SURE = 0.4  # of a period: a refresh seen farther from its moment may be another one
_LATE_S = 0.3  # a value that is older than a period and this was refreshed, and did not change
_FEW = 10  # changes, which say nothing about the period
_FINE = 0.1  # step of the search, as the change of the phase over all moments, in turns


@dataclass(frozen=True)
class Refreshes:
    """Values by the refresh that they were renewed in, one each; some refreshes are missing.

    `numbers` rise; the `number`-th refresh was at `ends_s`, and showed `values`. All [refreshes].
    """

    numbers: np.ndarray
    ends_s: np.ndarray
    values: np.ndarray


def refreshes(times_s: np.ndarray, values: np.ndarray, period_s: float) -> Refreshes:
    """Find the even refreshes of a meter in polls at another rate, which may come late.

    A changed value was refreshed between the last poll and this one, too wide to say which stages
    it covers. But refreshes are evenly spaced: their period is where the periodogram of the
    changes is highest. A value that stays for longer than a period was refreshed too: a steady
    load is a measurement.

    :param times_s: of the polls, rising; `values` is what each showed. Both float64 [polls].
    :param period_s: the meter's nominal one.
    """
    if len(times_s) < 2:
        return Refreshes(*np.empty((3, 0)))
    since_s = np.diff(times_s)
    known = (since_s > 0.0) & (since_s < 1.5 * period_s)
    changed = np.flatnonzero((np.diff(values) != 0.0) & known) + 1
    seen_s = times_s[changed] - np.minimum(since_s[changed - 1], period_s) / 2
    first_s = float(times_s[0])
    if len(seen_s) >= _FEW:
        first_s, period_s = _line(seen_s, period_s)
    numbers = np.round((seen_s - first_s) / period_s)
    sure = np.abs(seen_s - first_s - numbers * period_s) < _SURE * period_s
    number_at = dict(zip(changed[sure].tolist(), numbers[sure].tolist(), strict=True))
    passed = np.floor((times_s - _LATE_S - first_s) / period_s).tolist()
    rows: list[tuple[float, float]] = []
    last = -np.inf
    for poll in range(1, len(times_s)):
        steady = values[poll] == values[poll - 1]
        number = passed[poll] if steady else number_at.get(poll)
        if number is None:
            last = max(last, passed[poll] + 1)  # of which refresh the value is, is not sure
        elif number > last:
            rows.append((number, float(values[poll])))
            last = number
    found, shown = np.array(rows).reshape(-1, 2).T
    return Refreshes(found, first_s + found * period_s, shown)


def _line(seen_s: np.ndarray, period_s: float) -> tuple[float, float]:
    """Return moment and period of the even refreshes that best fit where they were seen [s].

    The period is where the periodogram of the moments is highest, refined by a line.
    """
    origin_s = float(seen_s[0])
    seen_s = seen_s - origin_s
    step = _FINE / float(seen_s[-1])
    rates = np.arange(1 / (1 + _TOLERANCE), 1 / (1 - _TOLERANCE), step * period_s) / period_s
    turns = np.exp(2j * np.pi * np.outer(rates, seen_s)).sum(axis=1)
    best = int(np.argmax(np.abs(turns)))
    period_s = float(1 / rates[best])
    first_s = float(np.angle(turns[best])) / (2 * np.pi) * period_s
    numbers = np.round((seen_s - first_s) / period_s)
    close = np.abs(seen_s - first_s - numbers * period_s) < _SURE * period_s
    if np.count_nonzero(close) >= _FEW:
        period_s, first_s = np.polyfit(numbers[close], seen_s[close], 1)
    return origin_s + first_s, float(period_s)
