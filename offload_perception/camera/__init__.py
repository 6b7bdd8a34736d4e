"""Camera sources: cameras, files and generated flights with one interface."""

from offload_perception.camera.source import CameraImage, Source
from offload_perception.camera.sources import KINDS, check_source, open_source

__all__ = ['KINDS', 'CameraImage', 'Source', 'check_source', 'open_source']
