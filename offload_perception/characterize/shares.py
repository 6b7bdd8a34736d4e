"""Which kinds of layers take the time and the energy."""

from collections.abc import Sequence
from math import nan

from offload_perception.characterize.record import Row

OTHER = 'other'
KINDS = {'conv': 'convolution', 'pool': 'pooling', 'fc': 'fully connected', OTHER: 'other'}
GROUPS = {'depthwise': 'conv'}


def by_kind(rows: Sequence[Row], figure: str) -> dict[str, float]:
    """Return what each kind of layer adds to `figure` (a field of `Row`) of the prefixes.

    A layer adds the difference of its prefix to the one before, so a kind that adds little may
    come out below zero by the uncertainty of both.
    """
    total, before = dict.fromkeys(KINDS, 0.0), 0.0
    for row in (row for row in rows if row.fits):
        value = getattr(row, figure)
        kind = GROUPS.get(row.kind, row.kind)
        total[kind if kind in KINDS else OTHER] += value - before
        before = value
    return total


def percent(shares: dict[str, float]) -> dict[str, float]:
    """Return the shares of the whole in percent; NaN if the whole is nothing."""
    whole = sum(shares.values())
    return {kind: 100 * share / whole if whole else nan for kind, share in shares.items()}
