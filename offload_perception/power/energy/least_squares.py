"""Linear regression with robust covariance, that reports what the data do not determine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SINGULAR = 1e-6  # of the largest singular value; below, the data do not determine a direction


@dataclass(frozen=True)
class Solution:
    """Coefficients and their covariance.

    `unseen` are, as columns, the directions that the data do not determine; `residual` is the
    standard deviation of the residuals.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    unseen: np.ndarray
    residual: float

    def first(self, count: int) -> Solution:
        """The same for the first unknowns alone, whatever the others may be."""
        return Solution(
            self.coefficients[:count], self.covariance[:count, :count], self.unseen[:count],
            self.residual)


def least_squares(
    design: np.ndarray, target: np.ndarray, resolution: float = 0.0,
) -> Solution:
    """Solve by singular values: the coefficients of least norm.

    `design` is float64 [samples, unknowns], `target` [samples]. The covariance is White's (HC3):
    it does not assume equal noise in all samples (ours have more if the load changes), and is
    wider for what depends on few of them. Residuals count as at least `resolution`, the step of
    the readings.
    """
    count, unknowns = design.shape
    scale = np.linalg.norm(design, axis=0)
    scale[scale == 0.0] = 1.0
    left, singular, right = np.linalg.svd(design / scale, full_matrices=False)
    seen = singular > SINGULAR * singular[0]
    inverse = (right[seen].T / singular[seen]) @ left[:, seen].T / scale[:, None]
    coefficients = inverse @ target
    residuals = target - design @ coefficients
    freedom = max(1, count - unknowns)
    alone = np.maximum(1.0 - np.sum(left[:, seen] ** 2, axis=1), 1.0 / count)
    weighted = inverse * np.maximum(np.abs(residuals) / alone, resolution)
    return Solution(
        coefficients, weighted @ weighted.T, right[~seen].T / scale[:, None],
        float(np.sqrt(residuals @ residuals / freedom)))
