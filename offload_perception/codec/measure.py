"""What a codec costs at a cut: bytes, time and accuracy, measured on images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from time import perf_counter

import numpy as np

from offload_perception.codec.api import decode, encode
from offload_perception.codec.calibration import Calibration
from offload_perception.codec.registry import parse
from offload_perception.codec.transform import Basis
from offload_perception.network.runnable import Network
from offload_perception.tensor import TensorSpec


@dataclass(frozen=True)
class Measurement:
    """One codec setting at one cut, over `images` images.

    `bytes` is the mean size with the header, `bits_per_element` counts the header too;
    `encode_ms` and `decode_ms` are medians. `agreement` is the share of images with the class
    that the model finds without the codec; `accuracy` the share with the true class, None
    if no labels were given.
    """

    cut: str
    codec: str
    bytes: float
    bits_per_element: float
    encode_ms: float
    decode_ms: float
    agreement: float
    accuracy: float | None
    images: int


@dataclass
class _Tally:
    sizes: list[int] = field(default_factory=list)
    encode_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)


def measure(network: Network, cuts: Sequence[int], codecs: Sequence[str],
            images: Sequence[np.ndarray] | np.ndarray,
            labels: Sequence[int] | np.ndarray | None = None,
            calibration: Calibration | None = None, repeats: int = 1) -> list[Measurement]:
    """Return one row for each cut and codec, in that order.

    :param network: the loaded model, such as `runtime.chain.Chain`.
    :param images: uint8 RGB of the model's input shape; `labels` are their class ids.
    :param calibration: gives `lossy:3` and the like their clips, `transform` its transforms.
    :param repeats: how often each tensor is encoded and decoded, for the medians.
    :raises ConfigError: for a codec that is unknown or cannot take the tensor of a cut.
    """
    names, last = network.artefact.cut_names, network.artefact.last
    jobs = [(cut, calibration.setting(names[cut], codec) if calibration else codec)
            for cut in cuts for codec in codecs]
    tallies, reference = {job: _Tally() for job in jobs}, []
    for image in images:
        tensors = _tensors(network, image)
        reference.append(int(tensors[last].argmax()))
        for cut, codec in jobs:
            spec, tally = network.artefact.tensor(cut), tallies[cut, codec]
            basis = calibration.bases.get(names[cut]) if calibration else None
            for _ in range(repeats):
                decoded = _trip(tensors[cut], spec, codec, basis, tally)
            same = np.array_equal(decoded, tensors[cut])
            scores = tensors[last] if same else network.run(cut + 1, last, decoded)
            tally.classes.append(int(scores.argmax()))
    return [_row(names[cut], str(parse(codec, network.artefact.tensor(cut))),
                 network.artefact.tensor(cut).size, tally, np.array(reference), labels)
            for (cut, codec), tally in tallies.items()]


def _tensors(network: Network, image: np.ndarray) -> list[np.ndarray]:
    """Return the tensor at every cut."""
    tensors = [image]
    for k in range(1, network.artefact.last + 1):
        tensors.append(network.run(k, k, tensors[-1]))
    return tensors


def _trip(q: np.ndarray, spec: TensorSpec, codec: str, basis: Basis | None,
          tally: _Tally) -> np.ndarray:
    """Return `q` after encoding and decoding, and note size and times."""
    start = perf_counter()
    data = encode(q, spec, codec, basis=basis)
    middle = perf_counter()
    array = decode(data, max_bytes=spec.nbytes, basis=basis).array
    tally.decode_s.append(perf_counter() - middle)
    tally.encode_s.append(middle - start)
    tally.sizes.append(len(data))
    return array


def _row(cut: str, codec: str, size: int, tally: _Tally, reference: np.ndarray,
         labels: Sequence[int] | np.ndarray | None) -> Measurement:
    classes = np.array(tally.classes)
    return Measurement(
        cut, codec, mean(tally.sizes), 8 * mean(tally.sizes) / size,
        1e3 * median(tally.encode_s), 1e3 * median(tally.decode_s),
        float((classes == reference).mean()),
        None if labels is None else float((classes == np.asarray(labels)).mean()), len(classes))
