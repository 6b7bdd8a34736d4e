"""Linear regression with robust covariance, that reports what the data do not determine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

SINGULAR = 1e-6  # of the largest singular value; below, the data do not determine a direction
_LAGS = 10  # that show how slowly errors fade


@dataclass(frozen=True)
class Solution:
    """Coefficients and their covariance.

    `unseen` are, as columns, the directions that the data do not determine.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    unseen: np.ndarray

    def first(self, count: int) -> Solution:
        """The same for the first unknowns alone, whatever the others may be."""
        return Solution(
            self.coefficients[:count], self.covariance[:count, :count], self.unseen[:count])

    def widened(self, unknown: int, factor: float) -> Solution:
        """The same with `factor` times the standard deviation of one unknown."""
        factors = np.ones(len(self.coefficients))
        factors[unknown] = factor
        return replace(self, covariance=self.covariance * np.outer(factors, factors))


def least_squares(design: np.ndarray, target: np.ndarray, resolution: float = 0.0) -> Solution:
    """Solve by singular values: the coefficients of least norm.

    `design` is float64 [samples, unknowns], `target` [samples], in the order of time. The
    covariance is that of Newey and West (1987, doi 10.2307/1913610), with their number of lags, of
    residuals weighted by leverage (HC3): it assumes neither equal noise in all samples (ours have
    more if the load changes) nor independent noise, and is wider for what depends on few of them.
    Residuals count as at least `resolution`, the step of the readings.
    """
    count = len(target)
    scale = np.linalg.norm(design, axis=0)
    scale[scale == 0.0] = 1.0
    left, singular, right = np.linalg.svd(design / scale, full_matrices=False)
    seen = singular > SINGULAR * singular[0]
    inverse = (right[seen].T / singular[seen]) @ left[:, seen].T / scale[:, None]
    coefficients = inverse @ target
    residuals = target - design @ coefficients
    alone = np.maximum(1.0 - np.sum(left[:, seen] ** 2, axis=1), 1.0 / count)
    weighted = inverse * np.copysign(np.maximum(np.abs(residuals) / alone, resolution), residuals)
    covariance = weighted @ weighted.T
    lags = int(4 * (count / 100) ** (2 / 9))
    for lag in range(1, lags + 1):
        both = weighted[:, lag:] @ weighted[:, :-lag].T
        covariance += (1 - lag / (lags + 1)) * (both + both.T)
    return Solution(coefficients, covariance, right[~seen].T / scale[:, None])


def persistence(residuals: np.ndarray, numbers: np.ndarray) -> float:
    """Return which share of an error is left one step later, 0 .. 1; 0 if there is no sign of it.

    The errors are taken as a first-order autoregression under white noise, whose correlation
    fades by this factor from each lag to the next, whatever the noise. Corrected for the bias of
    short series (Kendall 1954, doi 10.2307/2332719).

    :param residuals: float64 [samples].
    :param numbers: step of each residual, rising; steps may be missing.
    """
    together = []
    for lag in range(1, _LAGS + 2):
        later = np.minimum(np.searchsorted(numbers, numbers + lag), len(numbers) - 1)
        pair = numbers[later] == numbers + lag
        together.append(float(np.mean((residuals * residuals[later])[pair]))
                        if pair.any() else 0.0)
    count, early = len(residuals), sum(together[:-1])
    if early <= 2 * float(np.mean(residuals ** 2)) * np.sqrt(_LAGS / count):
        return 0.0
    left = min(sum(together[1:]) / early, 1.0)
    return float(np.clip(left + (1 + 3 * left) / count, 0.0, 1.0 - 1.0 / count))


def whitened(values: np.ndarray, numbers: np.ndarray, left: float) -> np.ndarray:
    """Return what is new in each of `values` after the first, if `left` of the last one persists.

    Of constant variance if the errors in `values`, float64 [samples, ...], have the `persistence`
    `left` from one step of `numbers` to the next (Cochrane and Orcutt 1949).
    """
    kept = left ** np.diff(numbers).astype(float)
    scale = np.sqrt((1 - left ** 2) / (1 - kept ** 2))
    kept, scale = (x.reshape(-1, *[1] * (values.ndim - 1)) for x in (kept, scale))
    new: np.ndarray = (values[1:] - kept * values[:-1]) * scale
    return new


def student_95(freedom: float) -> float:
    """Return the half width of a 95 % interval in standard deviations, from few samples.

    The quantile of Student's distribution by the expansion of Abramowitz and Stegun, 26.7.5; that
    of one degree of freedom if there are fewer.
    """
    z, n = 1.959964, freedom
    if n <= 1.0:
        return 12.71
    return (z + (z ** 3 + z) / (4 * n) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * n ** 2)
            + (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * n ** 3))
