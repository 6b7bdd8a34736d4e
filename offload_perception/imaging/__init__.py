"""Pictures: from messages, files and cameras to RGB of the size that a network wants."""

from offload_perception.imaging.compressed import compressed_to_rgb, decode_image, encode_image
from offload_perception.imaging.encodings import ENCODINGS, to_rgb
from offload_perception.imaging.resize import centre_crop, fit, fit_message

__all__ = ['ENCODINGS', 'centre_crop', 'compressed_to_rgb', 'decode_image', 'encode_image',
           'fit', 'fit_message', 'to_rgb']
