"""How good the forecasts are: running mean absolute percentage errors."""

from math import isfinite, nan

_LEARNING_RATE = 0.05  # about the last 20 frames


class ForecastError:
    """Mean absolute percentage error, forgetting exponentially over about 20 frames."""

    def __init__(self) -> None:
        self.mape, self.count = nan, 0

    def add(self, predicted: float, actual: float) -> None:
        """Take a forecast and the actual value; unknown ones are left out."""
        if not (isfinite(predicted) and isfinite(actual)) or actual <= 0.0:
            return
        error = abs(predicted - actual) / actual
        if not isfinite(error):  # the actual value is almost 0
            return
        self.count += 1
        gain = max(_LEARNING_RATE, 1.0 / self.count)
        self.mape = error if self.count == 1 else self.mape + gain * (error - self.mape)
