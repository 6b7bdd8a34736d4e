"""Bytes, time and accuracy of the tensor codecs, beside general compressors and the image.

For each pool cut: bits per element with the header, the ratio to two per-channel order-0
entropies, encode and decode time as medians within this run, both as a share of the head's time,
top-1 agreement with the uncompressed tensor and, if there are true labels, accuracy.

*Entropy* is that of the frequencies in the very tensor, as if the decoder knew them: with few
elements in a channel no code can come near. *Learned* is what an ideal code needs whose
frequencies for each channel were learned from the calibration images.

    python3 benchmarks/codec.py --model aerial --weights bundled
    python3 benchmarks/codec.py --model vgg16 --weights seed:0 --images photos/

With `--lossless` only the lossless codecs are measured, but at every cut of 25 kB or more, with
all tensors that cross it; *entropy* is then that of all of them, and *learning* what an ideal code
needs, by that entropy, that has to learn the frequencies from the elements before.

    python3 benchmarks/codec.py --model net.tflite --images photos/ --lossless
"""

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from math import nan
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import zstandard
from goals import Goal, at_most, publish

from offload_perception.cli.measure_codecs import gradients
from offload_perception.codec import decode, encode_tensors
from offload_perception.codec.calibration import calibrate
from offload_perception.codec.features import above_lowest
from offload_perception.codec.layout import channels_first
from offload_perception.codec.lossy import BITS
from offload_perception.codec.measure import Measurement, measure
from offload_perception.console import command, progress, table
from offload_perception.errors import ConfigError
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare
from offload_perception.preparation.representative import folder_images
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve
from offload_perception.tensor import Tensors, TensorSpec, total_bytes
from offload_perception.terrain.tiles import tiles

LOSSLESS, LEAST_BYTES = ('zstd', 'rans', 'adaptive', 'auto'), 25_000
OURS = ('raw', 'zstd', 'rans', 'adaptive', *(f'lossy:{bits}' for bits in BITS),
        *(f'transform:{step}' for step in (11, 16, 22, 45, 90)))
IMAGE = ('raw', 'zstd', 'jpeg:90', 'jpeg:75', 'jpeg:50', 'webp:80', 'webp:50')
LOSSY_CUTS = ('block3_pool', 'block4_pool', 'block5_pool')  # have a goal for their size
HEAD = ('cut', 'codec', 'bytes', 'bits/element', '/ entropy', '/ learned', 'encode ms',
        'decode ms', '% of head', 'agreement', 'accuracy')
LOSSLESS_HEAD = ('cut', 'tensors', 'raw bytes', 'codec', 'bytes', '/ entropy', 'learning',
                 'encode ms', 'decode ms')


@dataclass(frozen=True)
class Row:
    """One measurement with what it is compared to."""

    measured: Measurement
    entropy_bits: float
    learned_bits: float
    head_ms: float

    @property
    def entropy_ratio(self) -> float:
        """Return the size by the per-channel order-0 entropy."""
        return self.measured.bits_per_element / self.entropy_bits

    @property
    def time_share(self) -> float:
        """Return encode and decode time by the head's time."""
        m = self.measured
        return (m.encode_ms + m.decode_ms) / self.head_ms if self.head_ms else float('nan')

    def cells(self) -> tuple[Any, ...]:
        """Return the line of the table."""
        m = self.measured
        return (m.cut, m.codec, f'{m.bytes:.0f}', f'{m.bits_per_element:.3f}',
                f'{self.entropy_ratio:.3f}', f'{m.bits_per_element / self.learned_bits:.3f}',
                f'{m.encode_ms:.3f}', f'{m.decode_ms:.3f}', f'{100 * self.time_share:.1f}',
                f'{m.agreement:.4f}',
                '' if m.accuracy is None else f'{m.accuracy:.3f}')

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {**asdict(self.measured), 'entropy_bits_per_element': self.entropy_bits,
                'learned_bits_per_element': self.learned_bits,
                'entropy_ratio': self.entropy_ratio, 'head_ms': self.head_ms,
                'time_share_of_head': self.time_share if self.head_ms else None}


def entropy_bits(q: np.ndarray) -> float:
    """Return the empirical order-0 entropy of each channel, mean bits per element.

    It counts each channel's own frequencies as known for free; with 49 elements in a channel
    that is far below what any code can reach that has to learn them.
    """
    return sum(map(_entropy, channel_counts(q))) / q.size


def learning_bits(q: np.ndarray) -> float:
    """Return the bits per element of the code of Krichevsky and Trofimov (1981) for each channel.

    It knows which values a channel has, and learns how often from the elements before: no code
    that takes elements for independent does much better for every tensor.
    """
    counts = channel_counts(q)
    before = np.arange(counts[0].sum())
    of_count = np.cumsum([0.0, *np.log2(before + 0.5)])
    values = np.count_nonzero(counts, axis=1)
    of_channel = sum(np.log2(before + n / 2).sum() for n in values)
    return float(of_channel - of_count[counts].sum()) / q.size


def learned_bits(seen: Sequence[np.ndarray], q: np.ndarray) -> float:
    """Return the bits per element of `q` in an ideal code for the channel frequencies in `seen`.

    Frequencies of all channels count as 8 elements more in each, so that nothing is impossible.
    """
    counts = np.sum([channel_counts(q) for q in seen], axis=0, dtype=float)
    whole = counts.sum(0) + 0.001
    counts += 8 * whole / whole.sum()
    lengths = np.log2(counts.sum(1, keepdims=True) / counts)
    return float((channel_counts(q) * lengths).sum() / q.size)


def channel_counts(q: np.ndarray) -> np.ndarray:
    """Return how often each channel has each value, (C, 256)."""
    return np.stack([np.bincount(plane, minlength=256)
                     for plane in channels_first(above_lowest(q))])


def _entropy(counts: np.ndarray) -> float:
    used = counts[counts > 0]
    return float(used @ np.log2(used.sum() / used))


def others() -> dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]:
    """Return the general compressors; libraries that are missing are reported."""
    found = {
        'zstd-1, as stored': (lambda q: zstandard.ZstdCompressor(level=1).compress(q),
                              lambda data: zstandard.ZstdDecompressor().decompress(data)),
        'PNG of tiles': (lambda q: cv2.imencode('.png', tiled(q))[1],
                         lambda data: cv2.imdecode(data, cv2.IMREAD_UNCHANGED)),
    }
    if _installed('lz4'):
        import lz4.frame
        found['lz4, channels first'] = (lambda q: lz4.frame.compress(channels_first(q)),
                                        lz4.frame.decompress)
    if _installed('blosc2'):
        import blosc2
        found['blosc2 bitshuffle zstd'] = (
            lambda q: blosc2.compress2(channels_first(q), codec=blosc2.Codec.ZSTD, clevel=1,
                                       filters=[blosc2.Filter.BITSHUFFLE], nthreads=1),
            lambda data: blosc2.decompress2(data, nthreads=1))
    return found


def tiled(q: np.ndarray) -> np.ndarray:
    """Return the channels of `q`, (H, W, C), side by side as one grey image."""
    height, width, channels = q.shape
    across = 1 << (channels.bit_length() - 1) // 2
    planes = channels_first(above_lowest(q)).reshape(channels // across, across, height, width)
    return np.ascontiguousarray(planes.swapaxes(1, 2)).reshape(-1, across * width)


def _installed(library: str) -> bool:
    if find_spec(library):
        return True
    print(f'{library} is not installed and left out; pip install {library}', file=sys.stderr)
    return False


def time_others(cut: str, tensors: list[np.ndarray], repeats: int) -> Iterator[Measurement]:
    """Yield one row for each compressor of `others`."""
    for name, (encode, restore) in others().items():
        sizes, encode_s, decode_s = [], [], []
        for q in tensors * repeats:
            start = perf_counter()
            data = encode(q)
            middle = perf_counter()
            restore(data)
            decode_s.append(perf_counter() - middle)
            encode_s.append(middle - start)
            sizes.append(len(data))
        yield Measurement(cut, name, mean(sizes), 8 * mean(sizes) / q.size, 1e3 * median(encode_s),
                          1e3 * median(decode_s), 1.0, None, len(tensors))


def heads(network: Chain, images: Sequence[np.ndarray],
          cuts: Sequence[int]) -> tuple[dict[int, list[np.ndarray]], dict[int, float]]:
    """Return the tensors at each cut, and the median milliseconds to compute them."""
    network.warm_up()
    tensors: dict[int, list[np.ndarray]] = {cut: [] for cut in cuts}
    times: dict[int, list[float]] = {cut: [] for cut in cuts}
    for image in images:
        xs: Tensors = (image,)
        elapsed = 0.0
        for k in range(1, max(cuts) + 1):
            xs = network.run(k, k, xs)
            elapsed += sum(t.seconds for t in network.times)
            if k in tensors:
                tensors[k].append(xs[0])  # pool cuts of a chain have one
                times[k].append(1e3 * elapsed)
    return tensors, {cut: median(ms) for cut, ms in times.items()}


def bench(network: Chain, images: Sequence[np.ndarray], labels: Sequence[int] | None,
          calibration_images: Sequence[np.ndarray], repeats: int) -> list[Row]:
    """Return the rows of the table."""
    artefact = network.artefact
    cuts = [k for k, layer in enumerate(artefact.layers, 1) if layer.kind == 'pool']
    progress('calibrating the lossy codecs')
    metrics = gradients(artefact, calibration_images)
    calibration = calibrate(network, calibration_images, metrics)
    seen, _ = heads(network, calibration_images, cuts)
    progress(f'measuring {len(images)} images at {len(cuts)} cuts')
    tensors, head_ms = heads(network, images, cuts)
    rows = [Row(m, 8.0, 8.0, 0.0)
            for m in measure(network, {0: IMAGE}, images, labels, None, repeats)]
    for cut in cuts:
        progress(artefact.cut_names[cut])
        bits = mean(map(entropy_bits, tensors[cut]))
        learned = mean(learned_bits(seen[cut], q) for q in tensors[cut])
        measured = [*time_others(artefact.cut_names[cut], tensors[cut], repeats),
                    *measure(network, {cut: OURS}, images, labels, calibration, repeats)]
        rows += [Row(m, bits, learned, head_ms[cut]) for m in measured]
    return rows


@dataclass(frozen=True)
class LosslessRow:
    """One codec at one cut: means of all images, in bytes, and medians in milliseconds."""

    cut: str
    tensors: int
    raw_bytes: int
    codec: str
    bytes: float
    entropy_bytes: float
    learning_bytes: float
    encode_ms: float
    decode_ms: float

    @property
    def entropy_ratio(self) -> float:
        """Return the size by the per-channel order-0 entropy."""
        return self.bytes / self.entropy_bytes

    def cells(self) -> tuple[Any, ...]:
        """Return the line of the table."""
        return (self.cut, self.tensors, self.raw_bytes, self.codec, f'{self.bytes:.0f}',
                f'{self.entropy_ratio:.3f}', f'{self.learning_bytes / self.entropy_bytes:.3f}',
                f'{self.encode_ms:.2f}', f'{self.decode_ms:.2f}')


def bench_lossless(network: Chain, images: Sequence[np.ndarray],
                   repeats: int) -> list[LosslessRow]:
    """Return a row for each cut of `LEAST_BYTES` or more and each lossless codec."""
    artefact = network.artefact
    tensors: list[list[Tensors]] = [[(image,)] for image in images]
    for k in range(1, artefact.last):
        for of_image in tensors:
            of_image.append(network.run(k, k, of_image[-1]))
    rows = []
    for k in range(1, artefact.last):
        if total_bytes(artefact.tensors(k)) < LEAST_BYTES:
            continue
        entropy, learning = (
            mean(sum(bits(x) * x.size / 8 for x in of_image[k]) for of_image in tensors)
            for bits in (entropy_bits, learning_bits))
        for codec in LOSSLESS:
            size, encode_ms, decode_ms = _trips([t[k] for t in tensors], artefact.tensors(k),
                                                codec, repeats)
            rows.append(LosslessRow(artefact.cut_names[k], len(artefact.tensors(k)),
                                    total_bytes(artefact.tensors(k)), codec, size, entropy,
                                    learning, encode_ms, decode_ms))
    return rows


def _trips(at_cut: Sequence[Tensors], specs: Sequence[TensorSpec], codec: str,
           repeats: int) -> tuple[float, float, float]:
    """Return the mean size, and median times to encode and decode [ms]."""
    sizes, encode_s, decode_s = [], [], []
    for xs in [xs for xs in at_cut for _ in range(repeats)]:
        start = perf_counter()
        data = encode_tensors(xs, specs, codec)
        middle = perf_counter()
        found = [decode(part, spec).array for part, spec in zip(data, specs, strict=True)]
        decode_s.append(perf_counter() - middle)
        encode_s.append(middle - start)
        sizes.append(sum(map(len, data)))
        if not all(map(np.array_equal, found, xs)):
            raise SystemExit(f'{codec} changed a tensor')
    return mean(sizes), 1e3 * median(encode_s), 1e3 * median(decode_s)


def photos(artefact: Artefact, folder: Path | None,
           count: int) -> tuple[list[np.ndarray], list[int] | None, list[np.ndarray]]:
    """Return images to measure, their labels if known, and images to calibrate with."""
    size, width, channels = artefact.input.shape
    train = list(tiles('train', count, seed=1, size=size)[0])
    if folder is not None:
        shape = size, width, channels
        return list(folder_images(folder, shape, count, artefact.fit)), None, train
    if artefact.trained:
        images, labels = tiles('test', count, size=size)
        return list(images), list(labels), train
    if not find_spec('sklearn'):
        raise ConfigError('no photos to measure with; name --images FOLDER, or '
                          'pip install scikit-learn for its sample photos')
    from sklearn.datasets import load_sample_images
    crops = [cv2.resize(image[y:y + 427, x:x + 427], (size, size), interpolation=cv2.INTER_AREA)
             for image in load_sample_images().images for y, x in ((0, 0), (0, 106), (0, 213))]
    return crops[1::3] + crops[0::3], None, crops[2::3]


def lossless_goals(rows: list[LosslessRow]) -> list[Goal]:
    """Return the goal for the size at each cut."""
    return [at_most(f'{row.cut}: adaptive by the entropy', row.entropy_ratio, 1.05)
            for row in rows if row.codec == 'adaptive']


def goals(rows: list[Row]) -> list[Goal]:
    """Return the goals at each cut: lossless size, lossy size, and time by that of the head."""
    found = []
    for cut in dict.fromkeys(r.measured.cut for r in rows if r.head_ms):
        here = {r.measured.codec: r for r in rows if r.measured.cut == cut}
        small = [m.bits_per_element for m in (r.measured for r in here.values())
                 if m.agreement >= 0.99]
        if cut in LOSSY_CUTS:
            found.append(at_most(f'{cut}: fewest bits an element at 99 % agreement',
                                 min(small, default=nan), 0.8, 'bits'))
        if 'rans' in here:
            found += [at_most(f'{cut}: rans by the entropy', here['rans'].entropy_ratio, 1.05),
                      at_most(f'{cut}: time of rans by the head', 100 * here['rans'].time_share,
                              3.0, '%')]
    return found


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='aerial')
    parser.add_argument('--weights', default='bundled')
    parser.add_argument('--images', type=Path, help='folder of photos to measure with')
    parser.add_argument('--count', type=int, default=200, help='images at most')
    parser.add_argument('--repeats', type=int, default=5, help='encodes of each tensor')
    parser.add_argument('--runtime', default='auto')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--lossless', action='store_true',
                        help='lossless codecs at every cut of 25 kB or more')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args(argv)

    artefact = prepare(args.model, args.weights, progress=progress)
    # segments one by one: merged parts may round differently on another runtime
    network = Chain(artefact, resolve('cpu', args.runtime), args.threads, merge=False)
    images, labels, calibration_images = photos(artefact, args.images, args.count)
    cells: list[tuple[Any, ...]]
    records: list[dict[str, Any]]
    head: tuple[str, ...]
    if args.lossless:
        lossless = bench_lossless(network, images, args.repeats)
        head, cells = LOSSLESS_HEAD, [row.cells() for row in lossless]
        records, met = [asdict(row) for row in lossless], lossless_goals(lossless)
    else:
        rows = bench(network, images, labels, calibration_images, args.repeats)
        head, cells = HEAD, [row.cells() for row in rows]
        records, met = [row.to_dict() for row in rows], goals(rows)
    title = (f'{artefact.name}, weights {artefact.weights} '
             f'({"trained" if artefact.trained else "UNTRAINED"}), {len(images)} images, '
             f'{network.choice.runtime} segments, {args.threads} threads')
    print(title, table(head, cells), sep='\n\n')
    publish(args.json, {'title': title, 'machine': platform.processor() or platform.machine(),
                        'digest': artefact.digest, 'rows': records}, met)
    return 0


if __name__ == '__main__':
    sys.exit(main())
