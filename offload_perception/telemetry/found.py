"""What results say was found: classes, objects by label, or shares of a picture by class."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from offload_perception.network.output_meaning import (
    CLASSIFICATION,
    DETECTION,
    SEGMENTATION,
    TENSORS,
)

MOST_LABELS = 2000  # that are counted one by one
OTHERS = 'other labels'


@dataclass(frozen=True)
class Found:
    """A label of one result: `count` objects of it, None if the network finds no objects.

    `score` is that of a class, the best one of the objects, or the share of a class map.
    """

    id: int
    label: str
    score: float
    count: int | None = None

    def __str__(self) -> str:
        return f'{self.label} {self.score:.0%}' if self.count is None else (
            f'{self.count} {self.label}')


def kind_of(m: Any) -> str:
    """Return what a Classification is of; those of older versions and truths do not say."""
    return getattr(m, 'kind', '') or CLASSIFICATION


def found_in(m: Any) -> tuple[Found, ...]:
    """Return the labels of a Classification: objects by label, most first; others as they came."""
    rows = [Found(int(i), label, float(score))
            for i, label, score in zip(m.ids, m.labels, m.scores, strict=True)]
    return tuple(_counted(rows) if kind_of(m) == DETECTION else rows)


def _counted(objects: Iterable[Found]) -> list[Found]:
    """Return a row for each label of objects, best first."""
    rows: dict[str, Found] = {}
    for x in objects:
        before = rows.setdefault(x.label, Found(x.id, x.label, x.score, 0))
        rows[x.label] = Found(before.id, x.label, max(before.score, x.score),
                              (before.count or 0) + 1)
    return sorted(rows.values(), key=lambda row: (-(row.count or 0), -row.score))


def in_words(kind: str, rows: Sequence[Found], most: int = 3) -> str:
    """Return what one result says, at most `most` labels of it."""
    if not rows:
        return {DETECTION: 'nothing found', TENSORS: 'tensors without labels'}.get(kind, '')
    more = f' and {len(rows) - most} more' if len(rows) > most else ''
    return ', '.join(map(str, rows[:most])) + more


@dataclass(frozen=True)
class LabelCount:
    """A label over many results: how many have it, and its objects, mean score or mean share.

    Classes have the mean score, maps the share of all their pictures.
    """

    label: str
    results: int
    amount: float


class LabelCounts:
    """Adds up the labels of results of one kind, of classes the best one of each result."""

    def __init__(self, kind: str) -> None:
        self.kind, self.results = kind, 0
        self._results, self._sums = Counter[str](), dict[str, float]()

    def add(self, rows: Sequence[Found]) -> None:
        """Add a result."""
        self.results += 1
        for row in rows[:1] if self.kind == CLASSIFICATION else rows:
            known = row.label in self._sums or len(self._sums) < MOST_LABELS
            label = row.label if known else OTHERS
            self._results[label] += 1
            self._sums[label] = self._sums.get(label, 0.0) + (
                row.score if row.count is None else row.count)

    def rows(self) -> list[LabelCount]:
        """Return the labels: of objects and maps by their amount, of classes by their results."""
        found = [LabelCount(label, n, self._sums[label] / self._shared_by(n))
                 for label, n in self._results.items()]
        return sorted(found, reverse=True, key=lambda row: (
            row.results if self.kind == CLASSIFICATION else row.amount))

    def _shared_by(self, results: int) -> int:
        return {DETECTION: 1, SEGMENTATION: self.results}.get(self.kind, results)

    def line(self, most: int = 8) -> str:
        """Return the counts in a line; empty if there is nothing to count."""
        rows = self.rows()
        more = f' and {len(rows) - most} more labels' if len(rows) > most else ''
        if self.kind == DETECTION:
            named = ', '.join(f'{row.label} {row.amount:.0f}' for row in rows[:most])
            objects = sum(row.amount for row in rows)
            return (f'found: {objects:.0f} objects in {self.results} results'
                    + (f': {named}{more}' if named else ''))
        if self.kind == SEGMENTATION and rows:
            named = ', '.join(f'{row.label} {row.amount:.1%}' for row in rows[:most])
            return f'found: shares of {self.results} pictures: {named}{more}'
        return ''
