"""Messages of one topic as columns, for figures, CSV and Parquet."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import ConfigError
from offload_perception.network.output_meaning import CLASSIFICATION
from offload_perception.telemetry.found import found_in, kind_of
from offload_perception.telemetry.records import stamp_ns


class Table:
    """Columns of equal length by name; `t` are seconds since the flight's start."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a column; NaN if the messages of this bag do not have it."""
        return self.columns.get(name, np.full(len(self), np.nan))

    def where(self, mask: np.ndarray) -> 'Table':
        """Return the rows for which `mask` is true."""
        return Table({name: column[mask] for name, column in self.columns.items()})

    def joined(self, other: 'Table', key: str, prefix: str) -> 'Table':
        """Return these rows, each with the last row of `other` that has its `key` beside it.

        The columns of `other` get the prefix; where it has no such row, texts are empty and all
        other values NaN.
        """
        row_of = {value: row for row, value in enumerate(other[key].tolist())}
        rows = np.array([row_of.get(value, -1) for value in self[key].tolist()], dtype=int)
        return Table(self.columns | {f'{prefix}{name}': _picked(column, rows) for name, column
                                     in other.columns.items() if name != key})

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with these columns.

        :raises ConfigError: if pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as e:
            raise ConfigError(f'a DataFrame needs pandas ({e}); pip install pandas, or take '
                              '.columns, which are numpy arrays') from e
        return DataFrame(self.columns)

    def write(self, stem: Path) -> list[Path]:
        """Write stem.csv, and stem.parquet if pyarrow is installed; return what was written."""
        files = [stem.with_suffix('.csv')]
        with files[0].open('w', newline='') as stream:
            rows = csv.writer(stream)
            rows.writerow(self.columns)
            rows.writerows(zip(*self.columns.values(), strict=True))
        try:
            from pyarrow import parquet, table
        except ImportError:
            return files
        parquet.write_table(table(self.columns), stem.with_suffix('.parquet'))
        return [*files, stem.with_suffix('.parquet')]


def _picked(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the values at `rows`, of which -1 has none."""
    if column.dtype.kind == 'U':
        return np.where(rows < 0, '', column[rows])
    return np.where(rows < 0, np.nan, column[rows])


def table_of(messages: Iterable[tuple[int, Any]], start_ns: int) -> Table:
    """Return a table of decoded messages with the times they were recorded at.

    Every field that is a number, a truth or a text is a column; a header becomes `stamp_ns`, of
    a list of texts or numbers the first is taken, and the fields of a message within have its
    name before theirs (`attitude_w`). Labels and scores have five columns each: `labels` is the
    best one, `labels_2` the second; `found` has the objects, or the share, of every label as JSON.
    """
    return _table({'t': (time_ns - start_ns) * 1e-9, **_scalars(m)} for time_ns, m in messages)


def table_of_objects(messages: Iterable[tuple[int, Any]], start_ns: int) -> Table:
    """Return a table of decoded Detections as `table_of` does, with a row for each object."""
    return _table({'t': (time_ns - start_ns) * 1e-9, **_scalars(m), **_scalars(d)}
                  for time_ns, m in messages for d in m.detections)


def _table(found: Iterable[dict[str, Any]]) -> Table:
    rows = list(found)
    names = rows[0] if rows else ()
    return Table({name: np.array([row[name] for row in rows]) for name in names})


def _scalars(m: Any) -> dict[str, Any]:
    found: dict[str, Any] = {'found': _counted(m)} if hasattr(m, 'labels') else {}
    for name in m.__slots__:
        value = getattr(m, name)
        if name == 'header':
            found['stamp_ns'] = stamp_ns(value)
        elif hasattr(value, '__slots__'):
            found |= {f'{name}_{inner}': v for inner, v in _scalars(value).items()}
        elif name in _RANKED:
            found |= _ranked(name, list(value))
        elif isinstance(value, list) and not value:
            found[name] = '' if name in _TEXTS else float('nan')
        else:
            found[name] = value[0] if isinstance(value, list) else value
    return {name: v for name, v in found.items() if isinstance(v, (bool, int, float, str))}


def _counted(m: Any) -> str:
    """Return the objects by label, or the shares by class, of a Classification as JSON."""
    if kind_of(m) == CLASSIFICATION:
        return ''
    return json.dumps({x.label: round(x.score, 4) if x.count is None else x.count
                       for x in found_in(m)}, ensure_ascii=False)


_RANKED, _RANKS = ('labels', 'scores'), 5


def _ranked(name: str, values: list[Any]) -> dict[str, Any]:
    empty = '' if name in _TEXTS else float('nan')
    padded = [*values[:_RANKS], *[empty] * (_RANKS - len(values))]
    return {name if n == 1 else f'{name}_{n}': value for n, value in enumerate(padded, 1)}


_TEXTS = ('labels', 'stages')  # lists of texts; an empty one has no type of its own
