"""What a codec costs at a cut: bytes, time and accuracy, measured on images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from time import perf_counter
from zlib import crc32

import numpy as np

from offload_perception.codec.api import decode, encode_tensors
from offload_perception.codec.calibration import Calibration
from offload_perception.codec.container import DTYPES
from offload_perception.codec.registry import Learned, parse
from offload_perception.network.output_meaning import CLASSIFICATION
from offload_perception.network.runnable import Network
from offload_perception.tensor import Tensors, TensorSpec

_PROGRESS_EVERY = 200


@dataclass(frozen=True)
class Measurement:
    """One codec setting at one cut, over `images` images.

    `bytes` is the mean size with the header, `bytes_p95` the 95th percentile; `bits_per_element`
    counts the header too; `encode_ms` and `decode_ms` are medians. `agreement` is the share of
    images with the class that the model finds without the codec, or its teacher if it has one;
    `accuracy` the share with the true class, None if no labels were given.
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
    bytes_p95: float | None = None


@dataclass
class _Tally:
    sizes: list[int] = field(default_factory=list)
    encode_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)


def measure(network: Network, codecs: Mapping[int, Sequence[str]],
            images: Sequence[np.ndarray] | np.ndarray,
            labels: Sequence[int] | np.ndarray | None = None,
            calibration: Calibration | None = None, repeats: int = 1,
            reference: np.ndarray | None = None,
            progress: Callable[[str], None] = lambda _: None) -> list[Measurement]:
    """Return one row for each cut and codec, in that order; each image runs through once.

    :param network: the loaded model, such as `runtime.chain.Chain`.
    :param codecs: settings to measure at each cut.
    :param images: uint8 RGB of the model's input shape; `labels` are their class ids.
    :param calibration: gives `lossy:3` and the like their clips, `transform` its transforms.
    :param reference: the classes to agree with, by default those found without a codec.
    :param repeats: how often each tensor is encoded and decoded, for the medians.
    :raises ConfigError: for a codec that is unknown or cannot take the tensor of a cut.
    """
    names, last = network.artefact.cut_names, network.artefact.last
    jobs = [(cut, calibration.setting(names[cut], codec) if calibration else codec)
            for cut in codecs for codec in codecs[cut]]
    tallies, own = {job: _Tally() for job in jobs}, []
    for number, image in enumerate(images):
        if number % _PROGRESS_EVERY == 0:
            progress(f'{number} of {len(images)} images')
        tensors = _tensors(network, image)
        own.append(_class(network, tensors[last]))
        for cut, codec in jobs:
            specs, tally = network.artefact.tensors(cut), tallies[cut, codec]
            learned = calibration.learned(names[cut]) if calibration else None
            for _ in range(repeats):
                decoded = _trip(tensors[cut], specs, codec, learned, tally)
            same = all(map(np.array_equal, decoded, tensors[cut]))
            tally.classes.append(_class(network, tensors[last] if same else
                                        network.run(cut + 1, last, decoded)))
    return [_row(names[cut], _setting(codec, network.artefact.tensors(cut)),
                 sum(spec.size for spec in network.artefact.tensors(cut)), tally,
                 np.array(own) if reference is None else reference, labels)
            for (cut, codec), tally in tallies.items()]


def _tensors(network: Network, image: np.ndarray) -> list[Tensors]:
    """Return the tensors at every cut."""
    tensors: list[Tensors] = [(image,)]
    for k in range(1, network.artefact.last + 1):
        tensors.append(network.run(k, k, tensors[-1]))
    return tensors


def _class(network: Network, at_end: Tensors) -> int:
    """Return the best class; of other networks than classifiers a number for this very result."""
    outputs = network.artefact.real_outputs(at_end)
    if network.artefact.meaning.kind == CLASSIFICATION:
        return int(outputs[network.artefact.meaning.scores].argmax())
    return crc32(b''.join(np.ascontiguousarray(y).tobytes() for y in outputs))


def _setting(codec: str, specs: Sequence[TensorSpec]) -> str:
    """Return the setting as it is in full, of a cut with one tensor."""
    return str(parse(codec, specs[0])) if len(specs) == 1 and specs[0].dtype in DTYPES else codec


def _trip(xs: Tensors, specs: Sequence[TensorSpec], codec: str, learned: Learned | None,
          tally: _Tally) -> Tensors:
    """Return `xs` after encoding and decoding, and note size and times."""
    start = perf_counter()
    data = encode_tensors(xs, specs, codec, learned=learned)
    middle = perf_counter()
    decoded = tuple(decode(part, spec, learned=learned).array
                    for part, spec in zip(data, specs, strict=True))
    tally.decode_s.append(perf_counter() - middle)
    tally.encode_s.append(middle - start)
    tally.sizes.append(sum(map(len, data)))
    return decoded


def _row(cut: str, codec: str, size: int, tally: _Tally, reference: np.ndarray,
         labels: Sequence[int] | np.ndarray | None) -> Measurement:
    classes = np.array(tally.classes)
    return Measurement(
        cut, codec, mean(tally.sizes), 8 * mean(tally.sizes) / size,
        1e3 * median(tally.encode_s), 1e3 * median(tally.decode_s),
        float((classes == reference).mean()),
        None if labels is None else float((classes == np.asarray(labels)).mean()), len(classes),
        float(np.percentile(tally.sizes, 95)))
