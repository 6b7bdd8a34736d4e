"""The lossless codec `rans` beside that of an earlier revision: time and bytes at the pool cuts.

The earlier package is taken from this git repository and its C files are compiled with the
same compiler and flags as those of this one. Two processes take turns on the same tensors, so that
a busy machine slows both; the times are the least of all turns.

    python3 benchmarks/coder.py --model vgg16 --weights seed:0 --images photos/
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from codec import heads
from goals import Goal, at_most, publish

from offload_perception.console import command, progress, table
from offload_perception.errors import ConfigError
from offload_perception.preparation.prepare import prepare
from offload_perception.preparation.representative import folder_images
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve
from offload_perception.terrain.tiles import tiles

ROOT = Path(__file__).parents[1]
CUTS = ('block3_pool', 'block4_pool', 'block5_pool')
BEFORE = '03fab56'  # four channels side by side, stream version 0xA4
COMPILE = ('cc', '-O3', '-fPIC', '-shared')
CODER = """
import json, sys
from time import perf_counter
import numpy as np
from offload_perception.codec import decode, encode
from offload_perception.tensor import TensorSpec

tensors = np.load(sys.argv[1])
for line in sys.stdin:
    q = tensors[line.strip()]
    spec = TensorSpec(q.shape, str(q.dtype), 0.1, int(np.iinfo(q.dtype).min))
    encode_s, decode_s = [], []
    for _ in range(20):
        start = perf_counter()
        data = encode(q, spec, 'rans')
        middle = perf_counter()
        found = decode(data, spec).array
        decode_s.append(perf_counter() - middle)
        encode_s.append(middle - start)
    assert np.array_equal(found, q)
    print(json.dumps([min(encode_s), min(decode_s), len(data)]), flush=True)
"""


class Coder:
    """A process that codes tensors with the package in a folder."""

    def __init__(self, folder: Path, tensors: Path) -> None:
        self._process = subprocess.Popen(
            (sys.executable, '-c', CODER, str(tensors)), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, 'LD_LIBRARY_PATH': str(folder)})

    def turn(self, name: str) -> list[float]:
        """Return seconds to encode and to decode a tensor, and its bytes."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(name + '\n')
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ConfigError('the process that codes has ended; its message is above')
        found: list[float] = json.loads(line)
        return found

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def package(revision: str | None, folder: Path) -> Path:
    """Put the package, of this checkout or of a revision, into a folder, and build its coder."""
    if revision is None:
        (folder / 'offload_perception').symlink_to(ROOT / 'offload_perception')
    else:
        packed = subprocess.run(('git', 'archive', revision, 'offload_perception'), cwd=ROOT,
                                capture_output=True)
        if packed.returncode:
            raise ConfigError(f'{ROOT} has no revision {revision}: {packed.stderr.decode()}')
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as tar:
            tar.extractall(folder, filter='data')
    sources = sorted((folder / 'offload_perception' / 'codec').glob('*.c'))
    subprocess.run((*COMPILE, *map(str, sources), '-o', str(folder / 'liboffload_codec.so')),
                   check=True)
    return folder


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='vgg16')
    parser.add_argument('--weights', default='seed:0')
    parser.add_argument('--images', help='folder of photographs (default: generated terrain)')
    parser.add_argument('--count', type=int, default=3, help='of images')
    parser.add_argument('--turns', type=int, default=20)
    parser.add_argument('--against', default=BEFORE, metavar='REVISION')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args(argv)
    artefact = prepare(args.model, args.weights, progress=progress)
    height, width, _ = artefact.input.shape
    images = (folder_images(args.images, (height, width, 3), args.count) if args.images else
              tiles('test', args.count, seed=11, size=height)[0])
    chain = Chain(artefact, resolve('cpu'), merge=False)
    found, _ = heads(chain, list(images), [artefact.cut(cut) for cut in CUTS])
    chain.close()
    rows = raced({artefact.cut_names[cut]: qs for cut, qs in found.items()}, args.against,
                 args.turns)
    print(table(('cut', 'elements', 'bytes', 'bytes before', 'encode ns/element', 'before',
                 'decode ns/element', 'before', 'time by before'), [
        (r['cut'], r['elements'], f'{r["bytes"]:.0f}', f'{r["bytes_before"]:.0f}',
         *(f'{r[key]:.1f}' for key in ('encode_ns', 'encode_ns_before', 'decode_ns',
                                       'decode_ns_before')), f'{r["time_ratio"]:.3f}')
        for r in rows]))
    publish(args.json, {'against': args.against, 'cuts': rows}, goals(rows))
    return 0


def raced(tensors: dict[str, list[np.ndarray]], against: str, turns: int) -> list[dict[str, Any]]:
    """Return a row for each cut."""
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        file = folder / 'tensors.npz'
        named: dict[str, Any] = {f'{cut}.{i}': q for cut, qs in tensors.items()
                                 for i, q in enumerate(qs)}
        np.savez(file, **named)
        coders = []
        for name, revision in (('now', None), ('before', against)):
            (folder / name).mkdir()
            coders.append(Coder(package(revision, folder / name), file))
            stack.callback(coders[-1].close)
        for cut, qs in tensors.items():
            progress(cut)
            best = np.array([[[coder.turn(f'{cut}.{i}') for _ in range(turns)
                               for coder in coders] for i in range(len(qs))]])
            by_coder = best.reshape(len(qs), turns, 2, 3).min(1).mean(0)
            (encode_s, decode_s, nbytes), (*before_s, nbytes_before) = by_coder
            ns = 1e9 / qs[0].size
            rows.append({
                'cut': cut, 'elements': qs[0].size, 'bytes': nbytes,
                'bytes_before': nbytes_before, 'encode_ns': ns * encode_s,
                'decode_ns': ns * decode_s, 'encode_ns_before': ns * before_s[0],
                'decode_ns_before': ns * before_s[1],
                'time_ratio': (encode_s + decode_s) / sum(before_s)})
    return rows


def goals(rows: list[dict[str, Any]]) -> list[Goal]:
    """Return the goals of each cut: time and bytes by those before."""
    return [goal for r in rows for goal in (
        at_most(f'{r["cut"]}: encode and decode by the time before', r['time_ratio'], 0.4),
        at_most(f'{r["cut"]}: bytes by those before', r['bytes'] / r['bytes_before'], 1.005))]


if __name__ == '__main__':
    sys.exit(main())
