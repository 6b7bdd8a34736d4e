"""Several sources in turn, for a demonstration that shows different things."""

import numpy as np

from offload_perception.camera.source import Source

TURN_S = 5.0


class TurnsSource(Source):
    """Shows each of some sources for `TURN_S` seconds, again and again.

    The labels of all count as those of the last one that has classes.
    """

    def __init__(self, sources: list[Source], *, rate_hz: float) -> None:
        super().__init__()
        self._sources, self._frames = sources, max(1, round(TURN_S * rate_hz))
        self.rate_hz = rate_hz
        self.classes = next((s.classes for s in reversed(sources) if s.classes), ())
        self.description = ' and '.join(s.description for s in sources) + ', in turn'

    def _picture(self, index: int) -> tuple[np.ndarray, int | None]:
        frame = self._sources[index // self._frames % len(self._sources)].next()
        return frame.rgb, frame.label

    @property
    def left_out(self) -> dict[str, str]:
        """Return which files are not shown, and why."""
        return {name: why for s in self._sources for name, why in s.left_out.items()}

    @property
    def skipped(self) -> int:
        """Return how many pictures could not be read."""
        return sum(s.skipped for s in self._sources)

    def close(self) -> None:
        """Close all of them."""
        for s in self._sources:
            s.close()
