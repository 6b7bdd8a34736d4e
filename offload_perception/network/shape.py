"""A network as the planner sees it: its cuts, their tensors and their work."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from offload_perception.network.artefact import Artefact
from offload_perception.network.vgg16 import VggSpec, find_spec
from offload_perception.tensor import TensorSpec, total_bytes

FEW_CUTS = 32  # a network like VGG16: all are weighed


@dataclass(frozen=True)
class NetworkShape:
    """A network without its weights.

    `names` and `specs` (the tensors that cross) go over cuts 0..N (cut 0 is the image, cut N the
    result), `macs` (multiply-adds of one image) and `weight_bytes` (int8) over layers 1..N.
    `digest` is that of the prepared model, empty if none was prepared. `agreement` is the share of
    results that are right with nothing lost on the way: 1, but for a network whose teacher's
    results are wanted.
    """

    name: str
    digest: str
    names: tuple[str, ...]
    specs: tuple[tuple[TensorSpec, ...], ...]
    macs: tuple[int, ...]
    weight_bytes: tuple[int, ...]
    agreement: float = 1.0

    @property
    def last(self) -> int:
        """Return N, the cut at which everything runs on board."""
        return len(self.macs)

    @cached_property
    def nbytes(self) -> np.ndarray:
        """Return the size of the uncompressed tensor at each cut, float64 (N + 1,) [bytes]."""
        return np.array([total_bytes(specs) for specs in self.specs], float)

    @cached_property
    def candidates(self) -> tuple[int, ...]:
        """Return the cuts worth weighing, cut N apart.

        Of a network of many layers they are the Pareto front of work on board and bytes on the
        link: the image, and each that sends less than all before it.
        """
        if self.last <= FEW_CUTS:
            return tuple(range(self.last))
        least = np.minimum.accumulate(self.nbytes[:-1])
        return (0, *(cut for cut in range(1, self.last) if self.nbytes[cut] < least[cut - 1]))

    @cached_property
    def head_macs(self) -> np.ndarray:
        """Return the multiply-adds before each cut, float64 (N + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self.macs, dtype=float)])

    @classmethod
    def of(cls, artefact: Artefact) -> 'NetworkShape':
        """Return the shape of a prepared model."""
        return cls(artefact.name, artefact.digest, artefact.cut_names,
                   tuple(artefact.tensors(cut) for cut in range(artefact.last + 1)),
                   tuple(layer.macs for layer in artefact.layers),
                   tuple(layer.weight_bytes for layer in artefact.layers),
                   artefact.teacher.agreement if artefact.teacher else 1.0)

    @classmethod
    def preset(cls, name: str) -> 'NetworkShape':
        """Return the shape of the VGG called `name`, which need not be prepared.

        :raises ModelError: naming the presets that exist.
        """
        return _of_vgg(find_spec(name))


def _of_vgg(vgg: VggSpec) -> NetworkShape:
    """Multiply-adds: H W 9 Cin Cout of a same-padded 3x3 convolution, Cin Cout of a dense layer.

    int8 weights have int32 biases. The image's preprocessing counts for nothing here.
    """
    size, channels = vgg.input_size, 3
    names, macs, weights = ['input'], list[int](), list[int]()
    shapes: list[tuple[int, ...]] = [(size, size, 3)]

    def add(name: str, shape: tuple[int, ...], kernel: int, positions: int) -> None:
        names.append(name)
        shapes.append(shape)
        macs.append(kernel * positions)
        weights.append(kernel + 4 * shape[-1] if kernel else 0)

    for block, (convs, width) in enumerate(zip(vgg.blocks, vgg.channels, strict=True), 1):
        for conv in range(1, convs + 1):
            add(f'block{block}_conv{conv}', (size, size, width), 9 * channels * width, size * size)
            channels = width
        size //= 2
        add(f'block{block}_pool', (size, size, width), 0, 0)
    units = [*(vgg.scaled(count) for count in vgg.fc), vgg.classes]
    fc_names = [*(f'fc{i}' for i in range(1, len(units))), 'predictions']
    for name, count in zip(fc_names, units, strict=True):
        add(name, (count,), prod(shapes[-1]) * count, 1)
    specs = ((TensorSpec(shapes[0], 'uint8'),),
             *((TensorSpec(shape, 'int8', 1.0, -128),) for shape in shapes[1:]))
    return NetworkShape(vgg.name, '', tuple(names), specs, tuple(macs), tuple(weights))
