"""Train the small VGG16 that comes with this package on generated aerial terrain.

A plain VGG of this width hardly learns from scratch. So each convolution is trained with batch
normalisation after it (Ioffe and Szegedy, arXiv:1502.03167), which is afterwards folded into
its kernel and bias: at inference both are linear, so the stored network is a pure VGG16 that
computes the same numbers. Training also asks for sparse activations in the deep blocks, since
zeros make the codec of the radio link effective. Most of the time goes to quarters of the
images, at a quarter of the cost (see `Recipe`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.keras_backend import import_keras
from offload_perception.network.vgg16 import SPECS, VggSpec
from offload_perception.preparation.keras_vgg import build
from offload_perception.terrain.painters import CLASSES
from offload_perception.training.folding import folded
from offload_perception.training.training_threads import limit_threads

if TYPE_CHECKING:
    import keras

Labelled = tuple[np.ndarray, np.ndarray]  # images (N, H, W, 3), class ids (N,)
Batch = tuple[np.ndarray, np.ndarray]  # images, class shares (N, classes), float32

SPEC = replace(SPECS['aerial'], classes=len(CLASSES))
NORM = '_norm'
FINE_BLOCKS = ('block1', 'block2')


@dataclass(frozen=True)
class Recipe:
    """How long and how hard to train; `sparsity` is the weight of the penalty on active elements.

    An epoch is `steps` batches. `crop_epochs` are spent on random quarters of the images, which
    show the ground at the same scale for a quarter of the time, `full_epochs` on the whole.
    """

    crop_epochs: int = 10
    full_epochs: int = 4
    steps: int = 300
    batch: int = 64
    crop_rate: float = 3e-3
    full_rate: float = 1e-3
    weight_decay: float = 2e-3
    label_smoothing: float = 0.05
    dropout: float = 0.2
    sparsity: float = 0.02
    seed: int = 0


def train(train_set: Labelled, val_set: Labelled, recipe: Recipe, curves_file: Path,
          threads: int = 2) -> 'keras.Model':
    """Return the trained network as a pure VGG16, float32 RGB pixels 0..255 to class scores.

    Sets are images, uint8 (N, 64, 64, 3), and class ids (N,). Each epoch adds a line to
    `curves_file` (CSV). Random choices are seeded; the last digits still depend on the CPU.
    """
    keras = import_keras()
    limit_threads(threads)
    keras.utils.set_random_seed(recipe.seed)
    curves_file.unlink(missing_ok=True)
    stream = batches(*train_set, recipe)
    crops = quarters(stream, np.random.default_rng(recipe.seed))
    quarter = trainable(replace(SPEC, input_size=SPEC.input_size // 2), recipe)
    fit(quarter, crops, middles(val_set), recipe, recipe.crop_rate, 0, recipe.crop_epochs,
        curves_file)
    model = trainable(SPEC, recipe)
    grow(quarter, model)
    fit(model, stream, val_set, recipe, recipe.full_rate, recipe.crop_epochs,
        recipe.full_epochs, curves_file)
    return fold(model, SPEC)


def fit(model: 'keras.Model', stream: Iterator[Batch], val_set: Labelled, recipe: Recipe,
        rate: float, first_epoch: int, epochs: int, curves_file: Path) -> None:
    """Train `model` for `epochs`; the rate climbs for half an epoch, then sinks as a cosine."""
    keras = import_keras()
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20, decay_steps=epochs * recipe.steps - recipe.steps // 2, warmup_target=rate,
        warmup_steps=recipe.steps // 2, alpha=0.01)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay),
                  keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
                  metrics=['accuracy'],
                  jit_compile=False)  # XLA compiles for minutes and is no faster on a CPU
    images, labels = val_set
    model.fit(stream, steps_per_epoch=recipe.steps, initial_epoch=first_epoch,
              epochs=first_epoch + epochs, validation_batch_size=256, verbose=2,
              validation_data=(images.astype(np.float32), one_hot(labels)),
              callbacks=[keras.callbacks.CSVLogger(str(curves_file), append=True)])


def quarters(stream: Iterator[Batch], rng: np.random.Generator) -> Iterator[Batch]:
    """Yield a random quarter of the images of each batch, the same place for all of them."""
    for images, labels in stream:
        half = images.shape[1] // 2
        top, left = rng.integers(half + 1, size=2)
        yield images[:, top:top + half, left:left + half], labels


def middles(labelled: Labelled) -> Labelled:
    """Return the middle quarter of each image with its label."""
    images, labels = labelled
    edge = images.shape[1] // 4
    return images[:, edge:3 * edge, edge:3 * edge], labels


def grow(quarter: 'keras.Model', model: 'keras.Model') -> None:
    """Give `model` the weights of the network of half its input edge.

    All but fc1 fit as they are; fc1 sees four times the places and starts with their mean. The
    blocks of fine detail are done with learning, since the ground has the same scale.
    """
    for layer in quarter.layers:
        if layer.weights:
            weights = layer.get_weights()
            if layer.name == 'fc1':
                weights[0] = np.tile(weights[0], (4, 1)) / 4
            model.get_layer(layer.name).set_weights(weights)
            model.get_layer(layer.name).trainable &= not layer.name.startswith(FINE_BLOCKS)


def trainable(spec: VggSpec, recipe: Recipe) -> 'keras.Model':
    """Return `spec` with batch normalisation, dropout and the wish for sparse activations."""
    keras = import_keras()
    layers = keras.layers
    model = keras.Sequential([keras.Input((spec.input_size, spec.input_size, 3))])
    for layer in build(spec).layers:
        model.add(_without_relu(layer) if _is_conv(layer) else layer)
        if _is_conv(layer):
            model.add(layers.BatchNormalization(momentum=0.95, name=layer.name + NORM))
            model.add(layers.ReLU(name=layer.name + '_relu'))
        elif layer.name in ('block3_pool', 'block4_pool', 'block5_pool'):
            model.add(layers.Activation('linear', activity_regularizer=density(recipe.sparsity)))
        elif layer.name in ('fc1', 'fc2'):
            model.add(layers.Dropout(recipe.dropout))
    return model


def fold(model: 'keras.Model', spec: VggSpec) -> 'keras.Model':
    """Return the pure VGG that computes what the trained `model` computes at inference."""
    pure = build(spec)
    for layer in pure.layers:
        weights = model.get_layer(layer.name).get_weights()
        if _is_conv(layer):
            kernel, bias = weights
            weights = folded(kernel, bias, model.get_layer(layer.name + NORM))
        layer.set_weights(weights)
    return pure


def density(weight: float) -> Callable[[Any], Any]:
    """Return a penalty on the share of active elements that scaling cannot cheat.

    It is the mean over the root mean square: the root of the share, if active ones are alike.
    """
    ops = import_keras().ops

    def penalty(x: Any) -> Any:
        return weight * ops.mean(x) / ops.sqrt(ops.mean(ops.square(x)) + 1e-6)

    return penalty


def batches(images: np.ndarray, labels: np.ndarray,
            recipe: Recipe) -> Iterator[Batch]:
    """Yield shuffled batches for ever, turned, mirrored, and under varied light."""
    rng = np.random.default_rng(recipe.seed)
    while True:
        order = rng.permutation(len(images))
        for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
            chosen = order[start:start + recipe.batch]
            yield augment(images[chosen], rng), one_hot(labels[chosen])


def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `images` (N, H, W, 3) as float32, as seen from elsewhere on another day."""
    images = np.rot90(images, int(rng.integers(4)), axes=(1, 2))
    if rng.random() < 0.5:
        images = images[:, ::-1]
    gain = rng.uniform(0.8, 1.2, (len(images), 1, 1, 1)) + rng.normal(0, 0.04, (len(images), 1,
                                                                               1, 3))
    lit: np.ndarray = np.clip(images * gain.astype(np.float32), 0, 255)
    return lit


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Return class ids (N,) as float32 (N, classes)."""
    shares: np.ndarray = np.eye(len(CLASSES), dtype=np.float32)[labels]
    return shares


def _is_conv(layer: 'keras.layers.Layer') -> bool:
    return '_conv' in layer.name


def _without_relu(layer: 'keras.layers.Layer') -> 'keras.layers.Layer':
    return type(layer).from_config({**layer.get_config(), 'activation': 'linear'})
