"""Read the arrays of a Keras weights file, whichever version of Keras wrote it.

Layers stand in an `.h5` file of Keras 2 or 3 under their names, possibly below `model_weights`,
in a `.weights.h5` of Keras 3 under `layers/conv2d_3/vars`, whose attribute `name` is the layer's;
a `.keras` file is a zip with one of the latter inside.
"""

import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ModelError

if TYPE_CHECKING:
    import h5py

Arrays = dict[str, list[np.ndarray]]
_INSIDE = 'model.weights.h5'
MOST_BYTES = 4 << 30
"""Of all arrays together; those of VGG16 have 0.55 GB."""


def read_arrays(path: Path) -> Arrays:
    """Return kernel and bias of each layer that has them, by layer name, in network order.

    :raises ModelError: if the file cannot be read or holds no kernels.
    """
    import h5py

    try:
        with h5py.File(_open(path), 'r') as file:
            arrays = _collect(file, path)
    except (OSError, KeyError, zipfile.BadZipFile) as e:
        raise ModelError(f'{path} is not a Keras weights file ({e}); use .keras, .h5 or '
                         '.weights.h5 as Keras saves them') from e
    if not arrays:
        raise ModelError(f'{path} holds no convolution or dense weights')
    return arrays


def _open(path: Path) -> Path | io.BytesIO:
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        _check_size(path, archive.getinfo(_INSIDE).file_size)
        return io.BytesIO(archive.read(_INSIDE))


def _check_size(path: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise ModelError(f'{path} unpacks to {size} bytes, more than {MOST_BYTES}; it is no '
                         'network that a drone can run')


def _collect(file: 'h5py.File', file_name: Path) -> Arrays:
    """Gather the arrays: convolutions before dense layers, each kind in natural order."""
    groups: dict[str, list[np.ndarray]] = {}
    sizes: list[int] = []

    def visit(name: str, item: 'h5py.Group | h5py.Dataset') -> None:
        if hasattr(item, 'shape') and not name.startswith('optimizer'):
            sizes.append(item.nbytes)  # a header may claim any number
            _check_size(file_name, sum(sizes))
            groups.setdefault(item.parent.name, []).append(item[()])

    file.visititems(visit)
    layers = {path: sorted(arrays, key=lambda a: -a.ndim) for path, arrays in groups.items()
              if any(a.ndim in (2, 4) for a in arrays)}
    order = sorted(layers, key=lambda path: (-layers[path][0].ndim, _natural(path)))
    return {_layer_name(file, path): layers[path] for path in order}


def _layer_name(file: 'h5py.File', path: str) -> str:
    return str(file[path].attrs.get('name') or path.rsplit('/', 1)[-1])


def _natural(path: str) -> list[tuple[str, int]]:
    """Sort key under which conv2d stands before conv2d_1, and conv2d_9 before conv2d_10."""
    return [(text.rstrip('_'), int(number or -1))
            for part in path.split('/') for text, number in re.findall(r'(\D+)(\d*)', part)]
