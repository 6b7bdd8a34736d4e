"""Decode one attack as a server and as a drone would, and print the memory that it took [kB]."""

import resource
import sys
from collections.abc import Callable

import numpy as np
from unit.pictures.attacks import ATTACKS, SIDE

from offload_perception.codec import container, decode, encode
from offload_perception.errors import OffloadError
from offload_perception.imaging.compressed import compressed_to_rgb
from offload_perception.tensor import TensorSpec

RGB = TensorSpec((SIDE, SIDE, 3), 'uint8')


def tried(work: Callable[[], object]) -> str:
    try:
        work()
    except OffloadError as e:
        return f'{type(e).__name__}: {e}'
    return 'decoded'


def server(number: int, file: bytes) -> str:
    tensor = container.pack(RGB, number, (90,), [file])
    return tried(lambda: decode(tensor, RGB))


def main(name: str) -> None:
    for codec in ('jpeg', 'webp'):  # so that all that is needed once is there
        decode(encode(np.zeros(RGB.shape, np.uint8), RGB, codec), RGB)
    file = ATTACKS[name]()
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = [server(5, file), server(6, file), tried(lambda: compressed_to_rgb(file, 'jpeg'))]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *answers, sep='\n')


main(sys.argv[1])
