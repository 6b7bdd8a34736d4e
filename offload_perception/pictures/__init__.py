"""Picture files: recognised by content, and decoded within bounds that are known before."""

from offload_perception.pictures.decode import DECODERS, MAX_PIXELS, Bound, decode
from offload_perception.pictures.kind import kind_of

__all__ = ['DECODERS', 'MAX_PIXELS', 'Bound', 'decode', 'kind_of']
