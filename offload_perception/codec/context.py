"""Lossless: every second row is coded knowing the rows above and below it.

The even rows go like `planes`. The elements of the odd rows are then sorted by the sum of their
two vertical neighbours, which the decoder has by that time, and each share of like sums gets a
Huffman code of its own. On VGG16 that takes 2 to 10 % off `planes` down to block2_pool, 3 to 5 %
at block3_pool, nothing behind; the sort doubles the time.
"""

import cv2
import numpy as np

from offload_perception.codec.blocks import block_count, compress, decompress, shares
from offload_perception.codec.container import Buffer
from offload_perception.codec.layout import channels_first, channels_last
from offload_perception.codec.planes import (
    above_lowest,
    channel_groups,
    channel_order,
    from_lowest,
    is_feature_map,
    pack_groups,
    unpack_groups,
)
from offload_perception.tensor import TensorSpec


def has_odd_rows(spec: TensorSpec) -> bool:
    """Tell whether `spec` is a quantised H x W x C tensor with two rows or more."""
    return is_feature_map(spec) and spec.shape[0] > 1


def encode_context(q: np.ndarray, spec: TensorSpec) -> list[Buffer]:
    """Return the payload of `q`, int8 or uint8 (H, W, C)."""
    height, width, channels = spec.shape
    planes = channels_first(above_lowest(q)).reshape(channels, height, width)
    even, odd = np.ascontiguousarray(planes[:, ::2]), planes[:, 1::2]
    blocks = block_count(q.size)
    groups = channel_groups(even.reshape(channels, -1), blocks)
    runs = shares(even[channel_order(groups)]) + shares(odd.ravel()[_by_neighbours(even, odd)])
    return [pack_groups(groups, blocks), *compress(runs, q.size)]


def decode_context(payload: memoryview, spec: TensorSpec) -> np.ndarray:
    """Return the tensor of the payload as a new array."""
    height, width, channels = spec.shape
    groups, stream = unpack_groups(payload, channels, block_count(spec.size))
    elements = decompress(stream, spec.size)
    planes = np.empty((channels, height, width), np.uint8)
    even, odd = np.empty_like(planes[:, ::2], order='C'), np.empty_like(planes[:, 1::2], order='C')
    even[channel_order(groups)] = elements[:even.size].reshape(even.shape)
    odd.reshape(-1)[_by_neighbours(even, odd)] = elements[even.size:]
    planes[:, ::2], planes[:, 1::2] = even, odd
    return from_lowest(channels_last(planes, spec.shape), spec.dtype)


def _by_neighbours(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Return the order of the elements of `odd` by the rows of `even` above and below.

    Both are (C, rows, W). The last odd row may have none below; it takes the one above twice.
    The sum saturates at 255: integers and a stable sort give the same order on every machine.
    """
    above = even[:, :odd.shape[1]]
    below = np.concatenate((even[:, 1:], even[:, -1:]), 1)[:, :odd.shape[1]]
    return cv2.add(above.reshape(-1), below.reshape(-1)).reshape(-1).argsort(kind='stable')
