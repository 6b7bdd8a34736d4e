"""Activation tensor to bytes and back."""

from offload_perception.codec.api import Decoded, decode, encode
from offload_perception.codec.registry import codecs, parse

__all__ = ['Decoded', 'codecs', 'decode', 'encode', 'parse']
