"""Camera sources: cameras, files and generated flights behind one interface."""

from offload_perception.imaging.sources.base import Frame, Source
from offload_perception.imaging.sources.open import KINDS, check_source, open_source

__all__ = ['KINDS', 'Frame', 'Source', 'check_source', 'open_source']
