"""Camera sources: cameras, files and generated flights with one interface."""

from offload_perception.camera.base import Frame, Source
from offload_perception.camera.open import KINDS, check_source, open_source

__all__ = ['KINDS', 'Frame', 'Source', 'check_source', 'open_source']
