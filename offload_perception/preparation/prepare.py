"""Make a prepared model of a network, once, and find it again."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from offload_perception.errors import ModelError
from offload_perception.fitting import check_fit
from offload_perception.network.artefact import FORMAT, MANIFEST, Artefact
from offload_perception.network.digest import file_digest
from offload_perception.network.operator_graph import Graph
from offload_perception.network.vgg16 import find_spec
from offload_perception.preparation.model_source import Source, is_model_file, open_source
from offload_perception.preparation.narrow import WEIGHT_BITS
from offload_perception.preparation.tflite_file import read_classes
from offload_perception.preparation.wishes import Progress, Wishes

BUNDLED = Path(__file__).parents[1] / 'weights'


class Build(Protocol):
    """A function like `build_model`."""

    def __call__(self, source: Source, folder: Path, wishes: Wishes, *,
                 progress: Progress) -> None:
        """Build `source` into `folder`."""


def prepare(model: str | Path = 'aerial', weights: str | Path = 'bundled', *,
            labels: str | Path | None = None, representative: str | Path | None = None,
            preprocess: str | None = None, task: str = '', weight_bits: int = 8,
            fit: str | None = None,
            cache_dir: str | Path | None = None, progress: Progress | None = None,
            build: Build | None = None) -> Artefact:
    """Return the prepared model, from the cache if it was made before.

    `model` is a preset (`aerial`, `aerial_split`, `vgg16`, `vgg16_112`), the folder of a prepared
    model, a `.tflite` file, or a `.keras` or `.h5` file of a sequential VGG-like network.
    `weights` is `bundled`, `imagenet`, `seed:N` or a file; a model file brings its own. `labels`
    is a file of class names, `representative` a folder of images that fix the quantisation,
    `preprocess` the preprocessing of a model file that has none of its own (see
    `pixels.PREPROCESSING`). `task` says what the outputs of a `.tflite` file mean (see
    `output_meaning.KINDS`), if that is not found.
    `weight_bits` 7 makes int8 right on x86 without VNNI at full speed (see `narrow`). `fit` is how
    pictures are fitted to the shape of the input, None as the model says (a new one: crop).
    `progress` is called with each step, in words. A model that is ready needs no TensorFlow.
    `build` does the work of `build_model` elsewhere (see `apart`).

    :raises ModelError: if something is missing or does not fit, with the remedy.
    """
    model, weights = str(model), str(weights)
    if weight_bits not in WEIGHT_BITS:
        raise ModelError(f'{weight_bits} bits a weight cannot be made; use 8 or 7')
    if (folder := _ready(model, weights)) is not None:
        _refuse_changes(folder, weights=weights != 'bundled', representative=representative,
                        preprocess=preprocess, task=task, weight_bits=weight_bits != 8)
        return _fitted(_relabelled(Artefact.load(folder), labels), fit)
    source = open_source(model, weights, preprocess, task)
    wishes = Wishes(labels, representative, weight_bits, check_fit(fit or 'crop'))
    key = _key(source, wishes)
    folder = _cache(cache_dir) / f'{source.name}-{key}'
    progress = progress or (lambda text: None)
    with _locked(folder, progress):
        if not (folder / MANIFEST).is_file():
            (build or build_model)(source, folder, wishes, progress=progress)
    return Artefact.load(folder)


def is_bundled(artefact: Artefact) -> bool:
    """Return whether a model lies in the installed package, where nothing is to be written."""
    return artefact.path.resolve().is_relative_to(BUNDLED.resolve())


def copied(artefact: Artefact, folder: str | Path) -> Artefact:
    """Copy a prepared model into a folder that is not there yet, or holds this model already.

    :raises ModelError: if another one is there, or it cannot be written.
    """
    folder = Path(folder)
    try:
        if not folder.exists():
            shutil.copytree(artefact.path, folder)
        there = Artefact.load(folder)
    except OSError as e:
        raise ModelError(f'{folder} cannot be written ({e.strerror}); name another folder') from e
    if there.digest != artefact.digest:
        raise ModelError(f'{folder} holds another model, {there.name}; name another folder')
    return there


def _ready(model: str, weights: str) -> Path | None:
    """Return the folder if `model` names one that is prepared already, else None."""
    if (Path(model) / MANIFEST).is_file():
        return Path(model)
    if weights != 'bundled' or is_model_file(model):
        return None
    if model == Path(model).name and (BUNDLED / model / MANIFEST).is_file():
        return BUNDLED / model
    find_spec(model)
    raise ModelError(f"no weights for '{model}' are bundled; name weights: a file, seed:0"
                     + (', imagenet' if model == 'vgg16' else ''))


def _refuse_changes(folder: Path, **asked: object) -> None:
    """Refuse, by name, what a model that is prepared already cannot take any more."""
    names = ', '.join(name for name, given in asked.items() if given)
    if names:
        raise ModelError(f'{names}: {folder} is prepared already and cannot be changed by that; '
                         'leave it out, or name the network that it was made of (a .keras file, '
                         f'such as {folder / "model.keras"})')


def _relabelled(artefact: Artefact, file: str | Path | None) -> Artefact:
    if file is None:
        return artefact
    outputs = [artefact.spec(i) for i in artefact.outputs]
    return replace(artefact, labels=read_classes(
        file, artefact.meaning, outputs,
        lambda: Graph(artefact.model_file.read_bytes(), str(artefact.model_file))))


def _fitted(artefact: Artefact, fit: str | None) -> Artefact:
    return artefact if fit is None else replace(artefact, fit=check_fit(fit))


def build_model(source: Source, folder: Path, wishes: Wishes, *, progress: Progress) -> None:
    """Build beside the final place and rename, so that a half-made folder is never seen."""
    partial = folder.with_name(f'.{folder.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)  # of a build that was killed; we hold the lock
    try:
        source.write(partial, wishes, progress)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _key(source: Source, wishes: Wishes) -> str:
    """Return a short hash of all that the prepared model depends on."""
    parts: dict[str, Any] = {
        'source': source.identity(), 'format': FORMAT,
        'labels': None if wishes.labels is None else file_digest(Path(wishes.labels)),
        'representative': _listing(wishes.representative),
        'weight_bits': wishes.weight_bits, 'fit': wishes.fit}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _listing(folder: str | Path | None) -> list[tuple[str, int, int]] | None:
    if folder is None:
        return None
    files = sorted(p for p in Path(folder).rglob('*') if p.is_file())
    return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]


def _cache(cache_dir: str | Path | None) -> Path:
    if cache_dir is None:
        home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        cache_dir = (os.environ.get('OFFLOAD_PERCEPTION_MODELS')
                     or Path(home) / 'offload_perception' / 'models')
    try:
        Path(cache_dir).mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ModelError(f'the cache {cache_dir} cannot be made ({e.strerror}); '
                         'set OFFLOAD_PERCEPTION_MODELS to a folder you may write') from e
    return Path(cache_dir)


@contextmanager
def _locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Keep other processes from building the same model; the lock dies with the process."""
    with open(folder.with_name(f'.{folder.name}.lock'), 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f'another program builds {folder.name} already; waiting for it')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
