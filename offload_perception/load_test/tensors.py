"""Tensors as drones send them: heads of generated pictures, encoded once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from offload_perception import codec
from offload_perception.codec.calibration import learned_for
from offload_perception.frames import FeaturePacket, Part
from offload_perception.imaging.resize import fit
from offload_perception.load_test.load_plan import Arrival
from offload_perception.network.runnable import Network
from offload_perception.pipeline.packing import joined
from offload_perception.terrain.generated_flight import GeneratedFlight

PICTURES = 4  # of each cut; a server does not remember them
_SIZE = (320, 240)


class _Encoded(NamedTuple):
    parts: tuple[Part, ...]
    data: Any


class Tensors:
    """Encoded tensors of each cut, of frames of a generated flight.

    :param codec_name: one that takes every cut; `auto` is lossless.
    :raises CodecError: if it does not.
    """

    def __init__(self, network: Network, cuts: Sequence[int], *, codec_name: str = 'auto',
                 seed: int = 0) -> None:
        artefact = network.artefact
        self._artefact, self._codec = artefact, codec_name
        flight = GeneratedFlight(seed, *_SIZE)
        height, width, _ = artefact.input.shape
        images = [fit(flight.frame(10 * n), height, width, how=artefact.fit)
                  for n in range(PICTURES)]
        self._encoded = {cut: [self._encode(network, cut, image) for image in images]
                         for cut in dict.fromkeys(cuts)}

    def _encode(self, network: Network, cut: int, image: Any) -> _Encoded:
        specs = self._artefact.tensors(cut)
        parts, data = joined(specs, codec.encode_tensors(
            network.head(cut, image), specs, self._codec,
            learned=learned_for(self._artefact, cut)))
        return _Encoded(parts, data)

    def packet(self, arrival: Arrival, drone: str, header: Any) -> FeaturePacket:
        """Return the packet of an arrival; its nonce is the arrival's number."""
        encoded = self._encoded[arrival.cut][arrival.number % PICTURES]
        return FeaturePacket(
            header=header, drone=drone, sequence=arrival.number, nonce=arrival.number,
            model_digest=self._artefact.digest, split=arrival.cut,
            split_name=self._artefact.cut_names[arrival.cut], codec=self._codec,
            parts=encoded.parts, remaining_s=arrival.deadline_s, data=encoded.data)

    def nbytes(self, cut: int) -> int:
        """Return the mean bytes of a tensor of this cut."""
        return sum(len(e.data) for e in self._encoded[cut]) // PICTURES
