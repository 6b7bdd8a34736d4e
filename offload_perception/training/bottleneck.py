"""Train a network that was made to be split: encoder, bottleneck, decoder, and a teacher's rest.

Encoder and decoder take the place of the first layers of a teacher, whose answers are what they
learn (knowledge distillation, arXiv:1503.02531; bottlenecks: BottleFit arXiv:2201.02693, Entropic
Student WACV 2022). The latent is rounded to steps of a random width for each image, so that one
network serves every width afterwards: that is its quality. The loss is the divergence from the
teacher's scores and a price for the bits of the latent, which moves until the finest step takes
the bytes that were wished for. Batch normalisation is folded into the convolutions at the end.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import import_keras
from offload_perception.network.artefact import BOTTLENECK
from offload_perception.training.bottleneck_design import Convolution, Design, first_trained
from offload_perception.training.folding import folded
from offload_perception.training.rate_model import RateModel

if TYPE_CHECKING:
    import keras

NORM = '_norm'
FINEST, COARSEST = 1.0, 2.5  # width of a step, in units of the latent
PANELS = {'divergence from the teacher': {'training': 'divergence'},
          'agreement with the teacher': {'finest step': f'agreement_{FINEST:g}',
                                         'coarsest step': f'agreement_{COARSEST:g}'}}
OVERHEAD_BYTES = 9  # of an encoded latent: header, table check, and what the coder's state takes
FEWEST_IMAGES = 16
_TOGETHER, _PRICE_RATE, _FIRST_PRICE, _LONGEST_GRADIENT = 64, 0.004, 1e-4, 2.0
_HELD_BACK = 16  # one image in so many is for validation


@dataclass(frozen=True)
class Recipe:
    """How long and how hard to train; `turned` also shows images in the other three directions.

    An epoch is `steps` batches, by default all images once. `nbytes` is the wished size of an
    encoded latent of the finest quality, with its header.
    """

    epochs: int = 40
    batch: int = 64
    steps: int | None = None
    nbytes: float = 110.0
    rate: float = 2e-3
    weight_decay: float = 1e-3
    turned: bool = True
    seed: int = 0


class Student:
    """The parts of the network while it is trained."""

    def __init__(self, teacher: 'keras.Model', design: Design, seed: int) -> None:
        keras = import_keras()
        keras.utils.set_random_seed(seed)
        self.teacher, self.design = teacher, design
        self.encoder = _encoder(teacher, design)
        self.decoder = _decoder(design)
        rest = teacher.layers[design.join:]
        own = [type(layer).from_config(layer.get_config()) for layer in rest]
        self.rest = keras.Sequential([keras.Input(design.joined), *own])
        for mine, given in zip(own, rest, strict=True):
            mine.set_weights(given.get_weights())
        self.rate = RateModel(design.latent, seed)

    @property
    def variables(self) -> list[Any]:
        """Return what the loss of the answers trains."""
        return [v for part in (self.encoder, self.decoder, self.rest)
                for v in part.trainable_variables]

    def folded(self, name: str) -> 'keras.Model':
        """Return the network as it flies: sequential, without normalisation and rounding."""
        keras, front = import_keras(), first_trained(self.teacher.layers)
        built = keras.Sequential(
            [keras.Input(self.encoder.input_shape[1:]), *self.teacher.layers[:front],
             *_layers(self.design.encoder, normalised=False), _latent_layer(self.design.latent),
             *_decoder_layers(self.design, normalised=False), *self.rest.layers], name=name)
        for part in (self.encoder, self.decoder):
            for layer in part.layers[front if part is self.encoder else 0:]:
                if layer.weights and not layer.name.endswith(NORM):
                    _fold_into(built.get_layer(layer.name), layer, part)
        return built


def _fold_into(layer: 'keras.layers.Layer', trained: 'keras.layers.Layer',
               part: 'keras.Model') -> None:
    weights = trained.get_weights()
    if trained.name != BOTTLENECK:
        kernel, = weights
        depthwise = type(trained).__name__ == 'DepthwiseConv2D'
        kernel, bias = folded(kernel.swapaxes(2, 3) if depthwise else kernel, np.zeros(1),
                              part.get_layer(trained.name + NORM))
        weights = [kernel.swapaxes(2, 3) if depthwise else kernel, bias]
    layer.set_weights(weights)


def _encoder(teacher: 'keras.Model', design: Design) -> 'keras.Model':
    keras = import_keras()
    front = teacher.layers[:first_trained(teacher.layers)]
    for layer in front:
        layer.trainable = False
    return keras.Sequential([keras.Input(teacher.input_shape[1:]), *front,
                             *_layers(design.encoder, normalised=True),
                             _latent_layer(design.latent)])


def _latent_layer(channels: int) -> 'keras.layers.Layer':
    return import_keras().layers.Conv2D(channels, 1, name=BOTTLENECK)


def _layers(convolutions: Sequence[Convolution], *,
            normalised: bool) -> Iterator['keras.layers.Layer']:
    layers = import_keras().layers
    for c in convolutions:
        kind: dict[str, Any] = {'padding': 'same', 'use_bias': not normalised, 'name': c.name,
                                'strides': c.stride}
        yield (layers.DepthwiseConv2D(c.kernel, **kind) if c.depthwise
               else layers.Conv2D(c.channels, c.kernel, **kind))
        if normalised:
            yield layers.BatchNormalization(momentum=0.97, name=c.name + NORM)
        yield layers.ReLU(name=c.name + '_relu')


def _decoder_layers(design: Design, *, normalised: bool) -> Iterator['keras.layers.Layer']:
    return _layers([Convolution(f'decoder_conv{i}', 3, 1, channels)
                    for i, channels in enumerate(design.decoder, 1)], normalised=normalised)


def _decoder(design: Design) -> 'keras.Model':
    keras = import_keras()
    height, width, _ = design.joined
    return keras.Sequential([keras.Input((height, width, design.latent)),
                             *_decoder_layers(design, normalised=True)])


class Training:
    """Trains a student epoch by epoch; `folder` keeps its state, from which it goes on.

    :param images: uint8 (N, H, W, 3), of which some are held back for validation.
    :raises ModelError: if there are too few images.
    """

    def __init__(self, student: Student, images: np.ndarray, recipe: Recipe, folder: Path,
                 progress: Callable[[str], None]) -> None:
        if len(images) < FEWEST_IMAGES:
            raise ModelError(f'{len(images)} images are too few to train with; at least '
                             f'{FEWEST_IMAGES} are needed, thousands are good')
        import tensorflow as tf

        self.student, self.recipe, self.folder = student, recipe, folder
        self.progress = progress
        self._validation, self._images = images[::_HELD_BACK], np.delete(
            images, np.s_[::_HELD_BACK], axis=0)
        self.steps = recipe.steps or max(len(self._images) // recipe.batch, 1)
        self._wanted = _scores(student.teacher, self._validation).argmax(1)
        self._price = tf.Variable(np.log(_FIRST_PRICE), dtype=tf.float32)
        self._done = tf.Variable(0, dtype=tf.int64)  # steps
        self.step_s = 0.0  # seconds of a step in the last epoch, of images being turned, too
        self._make_optimizers()
        self._step = tf.function(self._one_step)
        self._manager = tf.train.CheckpointManager(
            self._state(), str(folder / 'state'), max_to_keep=1)

    def _make_optimizers(self) -> None:
        keras, recipe = import_keras(), self.recipe
        total = recipe.epochs * self.steps
        climb = min(self.steps, max(total // 10, 1))
        schedule = keras.optimizers.schedules.CosineDecay(
            recipe.rate / 20, decay_steps=max(total - climb, 1), warmup_target=recipe.rate,
            warmup_steps=climb, alpha=0.01)
        self._optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
        self._optimizer.exclude_from_weight_decay(var_names=['bias', 'gamma', 'beta'])
        self._optimizer.build(self.student.variables)
        self._rate_optimizer = keras.optimizers.Adam(5e-3)
        self._rate_optimizer.build(self.student.rate.variables)

    def _state(self) -> Any:
        import tensorflow as tf

        student = self.student
        everything = [*student.encoder.variables, *student.decoder.variables,
                      *student.rest.variables, *self._optimizer.variables,
                      *self._rate_optimizer.variables]
        kept = [*(v.value for v in everything), *student.rate.variables, self._price, self._done]
        return tf.train.Checkpoint(kept=kept)

    def run(self) -> None:
        """Train what is left of the epochs, and write the curves as history.csv."""
        state = self._manager.checkpoint
        if self._manager.latest_checkpoint:
            state.restore(self._manager.latest_checkpoint).assert_consumed()
        first = int(self._done.numpy()) // self.steps
        if first:
            self.progress(f'going on after epoch {first}')
        for epoch in range(first, self.recipe.epochs):
            began = monotonic()
            loss, bits = np.mean([self._train_on(batch) for batch in self._batches(epoch)], axis=0)
            self.step_s = (monotonic() - began) / self.steps
            row = {'epoch': epoch, 'divergence': loss, 'bits': bits,
                   **{f'agreement_{step:g}': self.agreement(step) for step in (FINEST, COARSEST)}}
            self._note(row, new=not epoch)
            self._manager.save()
            self.progress(f'epoch {epoch + 1} of {self.recipe.epochs}: ' + ', '.join(
                f'{key} {value:.3f}' for key, value in row.items() if key != 'epoch'))

    def agreement(self, step: float) -> float:
        """Return the share of images held back with the teacher's class, at a width of steps."""
        student = self.student
        found = []
        for batch in _in_parts(self._validation):
            latent = np.asarray(student.encoder(batch, training=False))
            rounded = np.float32(step) * np.rint(latent / np.float32(step))
            found.append(np.asarray(student.rest(
                student.decoder(rounded, training=False), training=False)).argmax(1))
        return float((np.concatenate(found) == self._wanted).mean())

    def _note(self, row: dict[str, float], *, new: bool) -> None:
        with open(self.folder / 'history.csv', 'w' if new else 'a', newline='') as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)

    @cached_property
    def _answers(self) -> np.ndarray:
        """Return the teacher's scores for each view of each image, (views, N, classes)."""
        views = range(8 if self.recipe.turned else 2)
        self.progress(f'asking the teacher about {len(self._images)} images in '
                      f'{len(views)} views')
        return np.stack([_scores(self.student.teacher, seen(self._images, view))
                         for view in views])

    def _batches(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the batches of an epoch, the same ones for the same seed."""
        rng = np.random.default_rng((self.recipe.seed, epoch))
        size = self.recipe.batch
        order = np.concatenate([rng.permutation(len(self._images)) for _ in range(
            -(-self.steps * size // len(self._images)))])
        for start in range(0, self.steps * size, size):
            chosen, view = order[start:start + size], int(rng.integers(len(self._answers)))
            yield (lit(seen(self._images[chosen], view), rng), self._answers[view][chosen])

    def _train_on(self, batch: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
        loss, bits = self._step(*batch)
        return float(loss), float(bits)

    def _one_step(self, images: Any, answers: Any) -> Any:
        """Take one step; return the mean divergence, and the bits at the finest step."""
        import tensorflow as tf

        student, done = self.student, self._done
        n = tf.shape(images)[0]
        random = tf.random.stateless_uniform((n, 1, 1, 1), [self.recipe.seed, done])
        random = tf.where(tf.range(n)[:, None, None, None] % 4 == 0, 0.0, random)
        step = FINEST * (COARSEST / FINEST) ** random
        with tf.GradientTape() as tape:
            latent = student.encoder(images, training=True)
            rounded = latent + tf.stop_gradient(step * tf.round(latent / step) - latent)
            noise = tf.random.stateless_uniform(tf.shape(latent), [self.recipe.seed + 1, done],
                                                -0.5, 0.5)
            bits = student.rate.bits(latent + step * noise, rounded, step)
            found = student.rest(student.decoder(rounded, training=True), training=True)
            divergence = tf.reduce_sum(answers * tf.math.log(
                (answers + 1e-7) / (found + 1e-7)), axis=1)
            loss = tf.reduce_mean(divergence + tf.exp(self._price) * step[:, 0, 0, 0] * bits)
        trained, rate = student.variables, student.rate.variables
        gradients = tape.gradient(loss, [*trained, *rate])
        of_answers, _ = tf.clip_by_global_norm(gradients[:len(trained)], _LONGEST_GRADIENT)
        self._optimizer.apply(of_answers, trained)
        self._rate_optimizer.apply(gradients[len(trained):], rate)
        finest = tf.reduce_mean(bits[::4])
        wished = 8.0 * max(self.recipe.nbytes - OVERHEAD_BYTES, 1.0)
        self._price.assign_add(_PRICE_RATE * tf.clip_by_value(
            tf.math.log(finest / wished), -1.0, 1.0))
        done.assign_add(1)
        return tf.reduce_mean(divergence), finest


def seen(images: np.ndarray, view: int) -> np.ndarray:
    """Return images (N, H, W, 3) mirrored (odd views), and turned by view // 2 quarters."""
    turned = np.rot90(images, view // 2, axes=(1, 2))
    return turned[:, :, ::-1] if view % 2 else turned


def lit(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images (N, H, W, 3) as float32 under light of other strength and colour."""
    gain = rng.uniform(0.8, 1.2, (len(images), 1, 1, 1)) + rng.normal(
        0, 0.04, (len(images), 1, 1, 3))
    changed: np.ndarray = np.clip(images * gain.astype(np.float32), 0, 255)
    return changed


def _scores(model: 'keras.Model', images: np.ndarray) -> np.ndarray:
    return np.concatenate([np.asarray(model(batch, training=False))
                           for batch in _in_parts(images)])


def _in_parts(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), _TOGETHER):
        yield images[start:start + _TOGETHER].astype(np.float32)
