"""The same int8 file on different runtimes: per segment and end to end.

What each bound was measured on stands in docs/runtimes.md. TensorFlow and LiteRT share kernels
and are equal. tflite-runtime 2.14 has older ones for int8, which scale in fixed point: one
quantum in up to 2.1 % of the elements of a segment, and it is no rival of the others.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from unit.runtime.tiny_model import image

from offload_perception.network.artefact import Artefact
from offload_perception.runtime.agree import MAX_QUANTA, MAX_SHARE, Difference, difference
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import Choice, resolve

BOUNDS = {'tensorflow': Difference(0, 0.0), 'openvino': Difference(MAX_QUANTA, MAX_SHARE),
          'tflite_runtime': Difference(1, 0.03)}


@pytest.fixture(params=BOUNDS, scope='module')
def other(request: pytest.FixtureRequest, tiny: Artefact) -> Iterator[Chain]:
    pytest.importorskip(request.param, reason=f'{request.param} is not installed')
    chain = Chain(tiny, Choice('cpu', request.param, ''), merge=False)
    yield chain
    chain.close()


@pytest.fixture(scope='module')
def exact(tiny: Artefact) -> Iterator[Chain]:
    chain = Chain(tiny, Choice('cpu', 'litert', ''), merge=False)
    yield chain
    chain.close()


@pytest.mark.parametrize('layer', range(1, 7))
def test_each_segment_agrees_within_the_measured_bound(exact: Chain, other: Chain,
                                                       layer: int) -> None:
    xs = exact.head(layer - 1, image())
    found = difference(*other.run(layer, layer, xs), *exact.run(layer, layer, xs))
    bound = BOUNDS[other.choice.runtime]
    assert found.quanta <= bound.quanta and found.share <= bound.share


@pytest.mark.parametrize('cut', range(1, 7))
def test_each_head_of_a_small_network_agrees_too(exact: Chain, other: Chain, cut: int) -> None:
    """In deep networks the rare quantum spreads from layer to layer; in six it does not."""
    if other.choice.runtime == 'tflite_runtime':
        pytest.skip('its differences spread from the first layer on')
    found = difference(*other.head(cut, image()), *exact.head(cut, image()))
    bound = BOUNDS[other.choice.runtime]
    assert found.quanta <= bound.quanta and found.share <= bound.share


def test_default_is_exact_even_where_eight_bit_weights_overflow_a_faster_runtime(
        tiny8: Artefact) -> None:
    """On x86 without VNNI the sums of OpenVINO saturate at 16 bits; the default must not."""
    exact = Chain(tiny8, Choice('cpu', 'litert', ''), merge=False)
    default = Chain(tiny8, resolve())
    default.prepare(tiny8.last)
    for cut in range(1, tiny8.last + 1):
        assert difference(*default.head(cut, image(5)), *exact.head(cut, image(5))).agrees
    default.close()
    exact.close()


def test_difference_counts_quanta_across_the_whole_range() -> None:
    a = np.array([-128, 0, 5, 5], np.int8)
    b = np.array([127, 0, 5, 6], np.int8)
    assert difference(a, b) == Difference(255, 0.5, 0.25)
    assert difference(a.view(np.uint8), a.view(np.uint8)) == Difference(0, 0.0)


@pytest.mark.parametrize(('quanta', 'share', 'agrees'), [
    (0, 0, True), (1, 1e-3, True), (1, 1.1e-3, False), (2, 1e-6, False)])
def test_agreement_has_both_bounds(quanta: int, share: float, agrees: bool) -> None:
    assert Difference(quanta, share).agrees is agrees
