"""Activation tensors to bytes and back."""

from offload_perception.codec.api import (
    Decoded,
    decode,
    encode,
    encode_tensors,
    setting_of_each,
)
from offload_perception.codec.registry import codecs, parse

__all__ = ['Decoded', 'codecs', 'decode', 'encode', 'encode_tensors', 'parse', 'setting_of_each']
