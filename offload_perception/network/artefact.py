"""A prepared model on disk: the network, its segments, its labels and a manifest.

<artefact>/
manifest.json      what stands below, see `Artefact`
model.tflite       the whole network, an RGB image in
segments/          one .tflite for each layer; their chain equals the whole, bit for bit
labels.txt         one label a line (may be missing)
model.keras        the float32 network (may be missing; float tails need it)
golden.npz         what the layers made of a known image (may be missing), see runtime/golden.py
"""

import json
import sys
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from offload_perception.errors import ConfigError, CutError, IncomingError, ModelError
from offload_perception.fitting import check_fit
from offload_perception.incoming import number, text, whole
from offload_perception.network.digest import file_digest
from offload_perception.network.output_meaning import Meaning, classes_of
from offload_perception.network.pixels import PixelInput, PixelRule
from offload_perception.sealed import check_seal, sealed
from offload_perception.tensor import DTYPES, Tensors, TensorSpec

MANIFEST = 'manifest.json'
MODEL_FILE = 'model.tflite'
GOLDEN_FILE = 'golden.npz'
BOTTLENECK = 'bottleneck'  # the layer that a network with a teacher is made to be cut after
AGREEMENT_FLOOR = 0.9  # below it quantisation has damaged a trained network
FORMAT = 3  # 2 had one tensor at each cut


@dataclass(frozen=True)
class Layer:
    """One layer of the network and the segment that computes it.

    `index` counts from 1; `kind` is `conv`, `pool`, `fc` or another operation; `stop` is the
    number of operators up to its end; it `takes` and `gives` the tensors of these numbers;
    `weight_bytes` are its weights with their biases; `macs` are multiply-adds for one image;
    `segment` is the file, relative to the artefact, and `sha256` (hex) its digest.
    """

    index: int
    name: str
    kind: str
    stop: int
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    weight_bytes: int
    macs: int
    segment: str
    sha256: str


@dataclass(frozen=True)
class Teacher:
    """The network whose answers a network with a learned bottleneck was trained to give.

    `model` is what `prepare` takes, a preset or a path; `digest` is that of its prepared model.
    `agreement` is the share of held-out images, 0..1, on which the int8 network gives the class of
    the teacher in float32, with nothing lost at the bottleneck.
    """

    model: str
    digest: str
    agreement: float


@dataclass(frozen=True)
class Artefact:
    """A prepared model.

    `digest` is the SHA-256 (hex) of `model.tflite`; it travels with every tensor. `trained` is
    False if the weights are random; a viewer has to say so with every label.
    `agreement` is the share, 0..1, of representative images on which the int8 and the float32
    network gave the same class when the model was prepared, None if not compared. `fit` is
    how a picture is fitted to the input's shape, one of `fitting.FITS`. `specs` describes the
    tensors that cross cuts, by their numbers; `image_id` is the number of the input, `outputs`
    those of what the network gives.
    `teacher` is None but for a network that `train_bottleneck` made. `keras_sha256` (hex) is the
    digest of the float32 network, `golden_sha256` that of the golden run; empty if not known.
    Cut 0 is the image itself, cut k comes after layer k, cut N means all on board.
    """

    path: Path
    name: str
    digest: str
    weights: str
    trained: bool
    pixels: PixelInput
    image_id: int
    outputs: tuple[int, ...]
    specs: dict[int, TensorSpec]
    layers: tuple[Layer, ...]
    labels: tuple[str, ...]
    meaning: Meaning = field(default_factory=Meaning)
    agreement: float | None = None
    fit: str = 'crop'
    teacher: Teacher | None = None
    keras_sha256: str = ''
    golden_sha256: str = ''

    @property
    def input(self) -> TensorSpec:
        """Return the image that crosses at cut 0, uint8 RGB (H, W, 3)."""
        return self.pixels.image

    @property
    def model_file(self) -> Path:
        """Return the whole int8 network."""
        return self.path / MODEL_FILE

    @property
    def keras_file(self) -> Path:
        """Return the float32 network; the file may be missing."""
        return self.path / 'model.keras'

    def verified_keras_file(self) -> Path:
        """Return the float32 network, to load it.

        :raises ModelError: if the file is not the one that the manifest names.
        """
        if self.keras_sha256:
            _check_file(self.keras_file, self.keras_sha256)
        return self.keras_file

    @property
    def golden_file(self) -> Path:
        """Return the golden run; the file may be missing."""
        return self.path / GOLDEN_FILE

    def verified_golden_file(self) -> Path:
        """Return the golden run, to read it.

        :raises ModelError: if the file is not the one that the manifest names.
        """
        _check_file(self.golden_file, self.golden_sha256)
        return self.golden_file

    @property
    def doubt(self) -> str:
        """Return why int8 results are worse than those of the float32 network; else ''."""
        if not self.trained or self.agreement is None or self.agreement >= AGREEMENT_FLOOR:
            return ''
        return (f'int8 {self.name} gives the class of its float32 network on only '
                f'{self.agreement:.0%} of the images it was prepared with; check preprocess, and '
                'prepare it with images as the camera sees them: prepare_model --representative '
                'FOLDER')

    def segment_file(self, index: int) -> Path:
        """Return the file of the segment that computes layer `index` (1 to N)."""
        return self.path / self.layers[index - 1].segment

    @property
    def classes(self) -> int | None:
        """Return how many classes the outputs know, None if they do not say."""
        return classes_of(self.meaning, [self.spec(i) for i in self.outputs])

    @cached_property
    def quantised(self) -> bool:
        """Return whether layers compute in integers; a float network has none that does."""
        return any(self.spec(i).dtype in ('int8', 'uint8')
                   for layer in self.layers for i in layer.gives)

    @property
    def last(self) -> int:
        """Return N, the cut after the last layer: everything on board."""
        return len(self.layers)

    @cached_property
    def cut_names(self) -> tuple[str, ...]:
        """Return the name of every cut; index 0 is `input`."""
        return ('input', *(layer.name for layer in self.layers))

    def cut(self, split: str | int) -> int:
        """Return the cut for a layer name, `input`, or a number in 0..N (-1 is N).

        :raises CutError: naming the cuts that exist.
        """
        text = str(split).strip()
        if text in self.cut_names:
            return self.cut_names.index(text)
        try:
            number = int(text)
        except ValueError:
            number = None
        if number == -1:
            return self.last
        if number is not None and 0 <= number <= self.last:
            return number
        raise CutError(
            f"{self.name} has no cut '{split}'; use 0..{self.last} or one of "
            f'{", ".join(self.cut_names)}')

    @cached_property
    def bottleneck(self) -> int | None:
        """Return the cut at the learned bottleneck, None if the network has none."""
        known = self.teacher is not None and BOTTLENECK in self.cut_names
        return self.cut_names.index(BOTTLENECK) if known else None

    def boundary(self, cut: int) -> tuple[int, ...]:
        """Return the numbers of the tensors that cross at cut `cut`, in the order of making."""
        return self._boundaries[cut]

    def tensors(self, cut: int) -> tuple[TensorSpec, ...]:
        """Return the tensors that cross the link at cut `cut`."""
        return tuple(map(self.spec, self.boundary(cut)))

    def real_outputs(self, ys: Tensors) -> Tensors:
        """Return the outputs, dequantised and in the network's order, of the tensors at N."""
        at = self.boundary(self.last)
        return tuple(self.spec(i).dequantise(ys[at.index(i)]) for i in self.outputs)

    def spec(self, number: int) -> TensorSpec:
        """Return the tensor of that number; the input crosses as the image."""
        return self.input if number == self.image_id else self.specs[number]

    def ends(self, first: int, last: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the tensors that layers `first` to `last` take from before, and give."""
        layers = self.layers[first - 1:last]
        made = {i for layer in layers for i in layer.gives}
        takes = {i for layer in layers for i in layer.takes} - made
        crossing = {*self.boundary(last)}
        return (tuple(i for i in self._order if i in takes),
                tuple(i for i in self._order if i in made & crossing))

    def end_specs(self, first: int,
                  last: int) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Return the tensors at both ends of a file of layers `first` to `last`."""
        takes, gives = self.ends(first, last)
        return (tuple(self.pixels.spec if i == self.image_id else self.specs[i] for i in takes),
                tuple(self.specs[i] for i in gives))

    @cached_property
    def _order(self) -> tuple[int, ...]:
        return (self.image_id, *(i for layer in self.layers for i in layer.gives))

    @cached_property
    def _boundaries(self) -> tuple[tuple[int, ...], ...]:
        made = {self.image_id: 0} | {i: layer.index for layer in self.layers for i in layer.gives}
        needed = {i: layer.index - 1 for layer in self.layers for i in layer.takes} | (
            dict.fromkeys(self.outputs, self.last))
        return tuple(tuple(i for i in self._order if made[i] <= cut <= needed.get(i, -1))
                     for cut in range(self.last + 1))

    def label(self, class_id: int) -> str:
        """Return the label of a class, or its number if no label is known."""
        return self.labels[class_id] if class_id < len(self.labels) else f'class {class_id}'

    def save_manifest(self) -> None:
        """Write the manifest into the artefact's folder."""
        manifest: dict[str, Any] = {
            'format': FORMAT, 'name': self.name, 'digest': self.digest, 'weights': self.weights,
            'trained': self.trained, 'agreement': self.agreement, 'fit': self.fit,
            'input': {'number': self.image_id, **self.pixels.spec.to_dict()},
            'pixels': self.pixels.rule.to_dict(), 'meaning': self.meaning.to_dict(),
            'outputs': list(self.outputs), 'labels': list(self.labels),
            'tensors': {str(i): spec.to_dict() for i, spec in self.specs.items()},
            'layers': [asdict(layer) for layer in self.layers],
            'teacher': None if self.teacher is None else asdict(self.teacher),
            'keras_sha256': self.keras_sha256, 'golden_sha256': self.golden_sha256,
        }
        (self.path / MANIFEST).write_text(json.dumps(sealed(manifest), indent=1) + '\n')

    def verify(self) -> None:
        """Compare the int8 files with the digests in the manifest.

        :raises ModelError: naming the file that is missing or changed.
        """
        files = {self.model_file: self.digest,
                 **{self.path / layer.segment: layer.sha256 for layer in self.layers}}
        for file, wanted in files.items():
            _check_file(file, wanted)

    @classmethod
    def load(cls, path: str | Path) -> 'Artefact':
        """Read the artefact in folder `path`, and verify its files.

        :raises ModelError: if the folder is not an artefact of this format, or damaged.
        """
        artefact = cls._read(Path(path))
        artefact.verify()
        return artefact

    @classmethod
    def _read(cls, path: Path) -> 'Artefact':
        try:
            m = json.loads((path / MANIFEST).read_text())
            if m['format'] != FORMAT:
                raise ModelError(f'{path}: artefact format {m["format"]}, this version reads '
                                 f'{FORMAT}; delete the folder and prepare the model again')
            check_seal(m)
            image_id = m['input'].pop('number')
            return _checked(cls(
                path=path, name=m['name'], digest=m['digest'], weights=m['weights'],
                trained=m['trained'], image_id=image_id,
                pixels=PixelInput(TensorSpec.from_dict(m['input']),
                                  PixelRule.from_dict(m['pixels'])),
                labels=tuple(m['labels']), agreement=m['agreement'],
                fit=check_fit(m.get('fit', 'crop')), outputs=tuple(m['outputs']),
                meaning=Meaning.from_dict(m['meaning']), teacher=_teacher(m.get('teacher')),
                keras_sha256=str(m.get('keras_sha256', '')),
                golden_sha256=str(m.get('golden_sha256', '')),
                specs={int(i): TensorSpec.from_dict(d) for i, d in m['tensors'].items()},
                layers=tuple(Layer(**{**d, 'takes': tuple(d['takes']), 'gives': tuple(d['gives'])})
                             for d in m['layers'])))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError,
                RecursionError, ConfigError, IncomingError) as e:
            raise ModelError(f'{path} is not a prepared model ({e}); '
                             'delete the folder and prepare it again') from e


def _checked(a: Artefact) -> Artefact:
    """Return what a manifest describes, if that can be.

    :raises IncomingError: for values of another type than ours, for tensors or places among the
        outputs that do not exist, and for files outside the folder.
    """
    files = [layer.segment for layer in a.layers]
    texts = [a.name, a.digest, a.weights, a.keras_sha256, *a.labels, *files,
             *((a.teacher.model, a.teacher.digest) if a.teacher else ()),
             *(t for layer in a.layers for t in (layer.name, layer.kind, layer.sha256))]
    if not all(isinstance(t, str) for t in texts) or not isinstance(a.trained, bool):
        raise IncomingError('a name in it is no text, or `trained` not true or false')
    if any('\0' in f or PurePath(f).is_absolute() or '..' in PurePath(f).parts
           for f in files):
        raise IncomingError('it names files outside the folder')
    for i in (a.image_id, *a.outputs, *a.specs, *(n for layer in a.layers for n in (
            layer.index, layer.stop, layer.weight_bytes, layer.macs, *layer.takes,
            *layer.gives))):
        whole('number', i, 0, 2**63)
    gives = {i for layer in a.layers for i in layer.gives}
    used = {*a.outputs, *(i for layer in a.layers for i in layer.takes)}
    if not gives <= a.specs.keys() or not used <= {a.image_id, *gives} or not a.outputs:
        raise IncomingError('a tensor that it names is not described, or made by no layer')
    if [layer.index for layer in a.layers] != [*range(1, a.last + 1)]:
        raise IncomingError('its layers are not numbered 1, 2, 3')
    for spec in (a.pixels.spec, *a.specs.values()):
        _check_spec(spec)
    if len(a.input.shape) != 3 or a.input.shape[2] != 3:
        raise IncomingError(f'its input of shape {a.input.shape} is no RGB image')
    for place in ('scores', 'boxes', 'classes', 'count'):
        whole(place, getattr(a.meaning, place), -1, len(a.outputs) - 1)
    if a.agreement is not None:
        number('agreement', a.agreement, 0.0, 1.0)
    return a


def _check_spec(spec: TensorSpec) -> None:
    if spec.dtype not in DTYPES:
        raise IncomingError(f'it has elements of the type {text(str(spec.dtype), 40)}')
    for size in spec.shape:
        whole('size', size, 0, 2**31)
    number('scale', spec.scale, 0.0, sys.float_info.max)
    whole('zero point', spec.zero_point, -2**31, 2**31)


def _check_file(file: Path, wanted: str) -> None:
    if file_digest(file) != wanted:
        raise ModelError(f'{file} is damaged: its SHA-256 is not the one in {MANIFEST}; copy the '
                         'folder again, or delete it and prepare the model again (the bundled '
                         'one: install the package again)')


def _teacher(d: dict[str, Any] | None) -> Teacher | None:
    if d is None:
        return None
    teacher = Teacher(**d)
    if not 0.0 <= teacher.agreement <= 1.0:
        raise ValueError(f'an agreement of {teacher.agreement} with the teacher')
    return teacher
