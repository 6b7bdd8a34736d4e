"""Centre squares of generated flights, resized as the drone's network gets them."""

import numpy as np

from offload_perception.imaging.resize import fit
from offload_perception.terrain.generated_flight import GeneratedFlight


def flight_crops(split: str, per_flight: int, seeds: range,
                 size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return labelled crops: uint8 RGB (N, size, size, 3) and class ids, int64 (N,).

    `per_flight` frames are taken evenly from the flight of each seed; those without a clear
    truth are left out, so N is smaller than their number.
    """
    images, labels = [], []
    for seed in seeds:
        flight = GeneratedFlight(seed, split=split)
        for i in np.linspace(0, len(flight), per_flight, endpoint=False).astype(int):
            if (truth := flight.truth(int(i))) is not None:
                images.append(fit(flight.frame(int(i)), size, size))
                labels.append(truth)
    return np.array(images, np.uint8).reshape(-1, size, size, 3), np.array(labels, np.int64)
