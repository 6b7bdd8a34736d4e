"""What may be wished for when a model is prepared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """Options of a new prepared model.

    `labels` is a file of class names, `representative` a folder of images that fix the
    quantisation, `weight_bits` 8 or 7 (see `narrow`), `fit` how pictures are fitted to the shape
    of the input.
    """

    labels: str | Path | None = None
    representative: str | Path | None = None
    weight_bits: int = 8
    fit: str = 'crop'
