"""The figures of one prefix, and the journal that survives an interruption."""

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from math import hypot, isnan, nan
from pathlib import Path
from typing import Any

from offload_perception.errors import ConfigError

JOURNAL = 'journal.jsonl'


@dataclass(frozen=True)
class Row:
    """One prefix on one backend; times are of warm runs, `first_s` is the very first one.

    `power_w` is the mean over the timed runs. Half widths are those of 95 % intervals. The
    peak memory is that of the measuring process; `base_bytes` of it are the bare runtime, and
    `predicted_bytes` were expected for the whole. If the prefix does not fit, `note` says
    why and the rest is NaN.
    """

    backend: str
    cut: int
    name: str
    kind: str
    fits: bool
    predicted_bytes: int
    base_bytes: int
    peak_bytes: float = nan
    load_s: float = nan
    first_s: float = nan
    runs: int = 0
    mean_s: float = nan
    spread_s: float = nan
    median_s: float = nan
    least_s: float = nan
    power_w: float = nan
    power_half_w: float = nan
    idle_w: float = nan
    idle_half_w: float = nan
    readings: int = 0
    temperature_c: float = nan
    load_average: float = nan
    throttled: str = ''
    device: str = ''
    note: str = ''

    @property
    def energy_j(self) -> float:
        """Energy of one run as the meter sees it, with the idle share."""
        return self.power_w * self.mean_s

    @property
    def energy_half_j(self) -> float:
        """Half width of the 95 % interval of `energy_j`."""
        return hypot(self.power_half_w * self.mean_s, self.power_w * self._mean_half_s)

    @property
    def active_j(self) -> float:
        """Energy of one run above idle."""
        return (self.power_w - self.idle_w) * self.mean_s

    @property
    def active_half_j(self) -> float:
        """Half width of the 95 % interval of `active_j`."""
        power_half_w = hypot(self.power_half_w, self.idle_half_w)
        return hypot(power_half_w * self.mean_s,
                     (self.power_w - self.idle_w) * self._mean_half_s)

    @property
    def _mean_half_s(self) -> float:
        return 1.96 * self.spread_s / self.runs ** 0.5 if self.runs else nan

    def to_dict(self) -> dict[str, Any]:
        """Return the figures with those derived from them, JSON-ready: unknown ones are None."""
        derived = {name: getattr(self, name) for name in
                   ('energy_j', 'energy_half_j', 'active_j', 'active_half_j')}
        return nulls({**asdict(self), **derived})

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> 'Row':
        """Return the row that `to_dict` described."""
        values: dict[str, Any] = {f.name: nan if d[f.name] is None else d[f.name]
                                  for f in fields(cls)}
        return cls(**values)


def nulls(d: dict[str, Any]) -> dict[str, Any]:
    """Return `d` with None for every NaN, as JSON wants it, inner dictionaries included."""
    return {key: nulls(value) if isinstance(value, dict) else
            None if isinstance(value, float) and isnan(value) else value
            for key, value in d.items()}


class Journal:
    """Rows and sessions, appended to a file one by one; what is there is not measured again.

    :raises ConfigError: if the file is of a run with other settings.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._file = folder / JOURNAL
        self.rows: list[Row] = []
        self.sessions: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)
        entries = _entries(self._file)
        if entries:
            _check(folder, entries[0].get('settings', {}), settings)
        else:
            self._append({'settings': settings})
        for entry in entries:
            if 'row' in entry:
                self.rows.append(Row.from_dict(entry['row']))
            elif 'session' in entry:
                self.sessions.append(entry['session'])

    def find(self, backend: str, cut: int) -> Row | None:
        """Return the row of a prefix, None if it was not measured yet."""
        return next((r for r in self.rows if (r.backend, r.cut) == (backend, cut)), None)

    def add(self, row: Row) -> None:
        """Keep a row."""
        self._append({'row': row.to_dict()})
        self.rows.append(row)

    def add_session(self, session: dict[str, Any]) -> None:
        """Keep what is known of a stretch of measuring: host, meter, idle power, date."""
        self._append({'session': nulls(session)})
        self.sessions.append(nulls(session))

    def _append(self, entry: dict[str, Any]) -> None:
        with open(self._file, 'a') as file:
            file.write(json.dumps(entry, allow_nan=False) + '\n')


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write all rows as a table; unknown figures are empty."""
    records = [row.to_dict() for row in rows]
    with open(path, 'w', newline='') as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def _entries(file: Path) -> list[dict[str, Any]]:
    """Read the journal, and cut off a last line that an interruption left half written."""
    if not file.exists():
        return []
    lines = file.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b'\n'):
        lines.pop()
        file.write_bytes(b''.join(lines))
    try:
        return [json.loads(line) for line in lines]
    except ValueError as e:
        raise ConfigError(f'{file} is damaged ({e}); choose another folder (--out), or delete '
                          'it to measure again') from e


def _check(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    differing = [f'{key} {found.get(key)} there, {wanted.get(key)} now'
                 for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    if differing:
        raise ConfigError(f'{folder} holds a run with other settings ({"; ".join(differing)}); '
                          'choose another folder (--out), or delete it to measure again')
