"""Recorded links from files: CSV rows, or Mahimahi's delivery opportunities."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.incoming import text

PACKET_BYTES = 1500  # of a delivery opportunity
_LONGEST_MS = 3_600_000  # each takes memory; larger times are not counted from a trace's start
_LATEST_S, _FASTEST = 1e12, 1e15  # s and byte/s: more is impossible, and sums would overflow
_DIGITS = 20  # Python reads no endless numbers
_FORMATS = 'write rows of seconds,bytes_per_second, or a Mahimahi trace of whole milliseconds'


class Recording:
    """Bandwidths [byte/s] (n,), each until the next of `edges_s` (n + 1,), from zero on.

    It repeats at its end, as in Mahimahi.
    """

    def __init__(self, edges_s: np.ndarray, bandwidth: np.ndarray) -> None:
        self._edges_s = edges_s
        self._sent = np.concatenate([[0.0], np.cumsum(bandwidth * np.diff(edges_s))])
        self.length_s = float(edges_s[-1])
        self.mean = float(self._sent[-1]) / self.length_s

    def flights(self, duration_s: float) -> int:
        """Return how many flights of that duration the recording holds, at least one."""
        return max(int(self.length_s / duration_s), 1)

    def bandwidth(self, start_s: float, step_s: float, steps: int) -> np.ndarray:
        """Return mean bandwidths over steps from `start_s` on, float64 (steps,) [byte/s]."""
        times, rest_s = np.divmod(start_s + np.arange(steps + 1) * step_s, self.length_s)
        sent = times * self._sent[-1] + np.interp(rest_s, self._edges_s, self._sent)
        bandwidth: np.ndarray = np.maximum(np.diff(sent), 0.0) / step_s  # rounding can be negative
        return bandwidth


def read(path: Path) -> Recording:
    """Return the recording in a file; the format is recognised by content.

    CSV: rows of seconds,bytes_per_second, with a header or without; the seconds rise, and the last
    row counts for as long as the one before. Mahimahi (`mm-link`): a line for each opportunity to
    send a packet of 1500 bytes, in whole milliseconds, none earlier than the one before; the last
    one is the length.

    :raises PlanError: naming the file, the line and the remedy.
    """
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, _changed_ns: int) -> Recording:
    try:
        lines = [(number, line.strip()) for number, line in enumerate(
            path.read_text(encoding='utf-8-sig').splitlines(), 1) if line.strip()]
    except UnicodeDecodeError as e:
        raise PlanError(f'{path}: not a text file ({e}); {_FORMATS}') from e
    is_csv = any(',' in line for _, line in lines[:1])
    if is_csv and lines[0][1][0].isalpha():
        lines = lines[1:]
    if not lines:
        raise PlanError(f'{path}: holds no trace; {_FORMATS}')
    return (_csv if is_csv else _mahimahi)(path, lines)


def _csv(path: Path, lines: list[tuple[int, str]]) -> Recording:
    rows: list[tuple[float, float]] = []
    for number, line in lines:
        try:
            second, value = map(float, line.split(',')[:2])
        except ValueError as e:
            raise PlanError(f"{path}, line {number}: '{text(line)}' is no row of "
                            'seconds,bytes_per_second; correct it') from e
        if not (abs(second) <= _LATEST_S and 0 <= value <= _FASTEST):
            raise PlanError(f"{path}, line {number}: '{text(line)}' has to be finite, the "
                            f'bandwidth not negative and at most {_FASTEST:g}; correct it')
        if rows and second <= rows[-1][0]:
            raise PlanError(f'{path}, line {number}: the seconds do not rise; sort the trace, one '
                            'row for each time')
        rows.append((second, value))
    seconds, values = np.array(rows).T
    seconds -= seconds[0]
    last_s = seconds[-1] - seconds[-2] if len(rows) > 1 else 1.0
    return Recording(np.append(seconds, seconds[-1] + last_s), values)


def _mahimahi(path: Path, lines: list[tuple[int, str]]) -> Recording:
    last = 0
    for number, line in lines:
        if not (line.isascii() and line.isdigit() and len(line) <= _DIGITS):
            raise PlanError(f"{path}, line {number}: '{text(line)}' is no time in whole "
                            f'milliseconds; {_FORMATS}')
        if int(line) < last:
            raise PlanError(f'{path}, line {number}: {line} ms comes after {last} ms; sort the '
                            'trace')
        last = int(line)
        if last > _LONGEST_MS:
            raise PlanError(f'{path}, line {number}: {line} ms is more than an hour; count from '
                            'the start of the trace')
    if not last:
        raise PlanError(f'{path}: a trace of no length; end it with a time above zero')
    # An opportunity at the end of a millisecond stands for all of it.
    packets = np.bincount([max(int(line) - 1, 0) for _, line in lines], minlength=last)
    return Recording(np.arange(last + 1) / 1e3, packets * (PACKET_BYTES * 1e3))
