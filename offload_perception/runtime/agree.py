"""How much two runtimes may differ on the same int8 file, and how much they do."""

from dataclasses import dataclass

import numpy as np

MAX_QUANTA = 1
MAX_SHARE = 1e-3
FAR_QUANTA, FAR_SHARE = 4, 0.05  # of whole heads, in which rare differences have become many

FLOAT_TOLERANCE = 1e-4  # of the largest value: sums of float32 in another order


@dataclass(frozen=True, order=True)
class Difference:
    """The largest difference in quanta, and the shares of elements that differ: at all, and far.

    Of floats, quanta of FLOAT_TOLERANCE of the largest value, and the elements that differ by one.
    """

    quanta: int
    share: float
    far: float = 0.0

    @property
    def close(self) -> bool:
        """Return whether at most 5 % of the elements differ by more than 4 quanta."""
        return self.far <= FAR_SHARE

    @property
    def agrees(self) -> bool:
        """Return whether at most 0.1 % of the elements differ, and those by one quantum."""
        return self.quanta <= MAX_QUANTA and self.share <= MAX_SHARE

    def __str__(self) -> str:
        """Return the difference in words."""
        return f'{self.quanta} quanta at most, in {self.share:.2%} of the elements'


def difference(a: np.ndarray, b: np.ndarray) -> Difference:
    """Compare two tensors of one shape and type."""
    if np.issubdtype(b.dtype, np.floating):
        quantum = FLOAT_TOLERANCE * max(float(np.abs(b).max(initial=0.0)), 1e-6)
        apart = np.abs(np.subtract(a, b, dtype=np.float64)) // quantum
    else:
        apart = np.abs(np.subtract(a, b, dtype=np.int64))
    shares = [float(np.count_nonzero(apart > least) / apart.size) for least in (0, FAR_QUANTA)]
    return Difference(int(apart.max(initial=0)), *shares)
