"""Camera sources: cameras, files and generated flights with one interface."""

from offload_perception.camera.open import KINDS, check_source, open_source
from offload_perception.camera.source import CameraImage, Source

__all__ = ['KINDS', 'CameraImage', 'Source', 'check_source', 'open_source']
