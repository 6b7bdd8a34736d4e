"""What tensors will wait, by what a schedule plans and by how long others did wait."""

from math import isnan

_WEIGHT = 0.02  # of a new wait in the running means
_LEAST, _MOST = 0.5, 3.0  # times what was planned


class WaitForecast:
    """A line, start + factor x planned wait, that follows the waits of the last tensors.

    A schedule plans with what waits already and with mean times. That leaves out tensors which
    come later and are computed before or together with this one, the time that a thread needs to
    wake up, and all that slows a busy computer down.
    """

    def __init__(self) -> None:
        self._start_s = self._planned_s = self._waited_s = 0.0

    def expected_s(self, planned_s: float) -> float:
        """Return the wait to expect of one that is planned [s]."""
        return self._start_s + self._factor * planned_s

    @property
    def _factor(self) -> float:
        if not self._planned_s:
            return 1.0
        return min(max(self._waited_s / self._planned_s, _LEAST), _MOST)

    def observe(self, planned_s: float, waited_s: float) -> None:
        """Take a wait, and what was planned of it [s]; NaN if times were not known then."""
        if isnan(planned_s):
            return
        if planned_s <= 0.0:
            self._start_s += _WEIGHT * (waited_s - self._start_s)
            return
        weight = _WEIGHT if self._planned_s else 1.0
        self._planned_s += weight * (planned_s - self._planned_s)
        self._waited_s += weight * (max(waited_s - self._start_s, 0.0) - self._waited_s)
