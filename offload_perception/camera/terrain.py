"""A generated flight over terrain, whose true classes are known."""

import numpy as np

from offload_perception.camera.source import Source
from offload_perception.errors import SourceError


class TerrainSource(Source):
    """Frames of a generated flight; `label` is the class below the camera if it is clear."""

    def __init__(self, seed: str = '', *, height: int, width: int, rate_hz: float) -> None:
        """Generate the terrain of `seed`, a whole number, 0 if empty."""
        super().__init__()
        check_seed(seed)
        from offload_perception.terrain.generated_flight import (
            GeneratedFlight,  # costly, and only needed here
        )
        self.rate_hz = rate_hz
        self._flight = GeneratedFlight(int(seed or 0), width, height)
        self.classes = self._flight.classes
        self.description = f'generated flight over terrain, seed {int(seed or 0)}'

    def _picture(self, index: int) -> tuple[np.ndarray, int | None]:
        return self._flight.frame(index), self._flight.truth(index)


def check_seed(seed: str) -> None:
    """Raise SourceError for a seed that is no number."""
    if not (seed or '0').isdecimal() or len(seed) > 18:
        raise SourceError(f"terrain seed {seed!r} is not a whole number; try 'terrain:1'")
