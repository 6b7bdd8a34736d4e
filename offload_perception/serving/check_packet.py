"""Whether a tensor may go into the network, and its decoding."""

import math

from offload_perception import codec
from offload_perception.codec.calibration import learned_for
from offload_perception.errors import DecodeError
from offload_perception.frames import FeaturePacket, Part
from offload_perception.network.artefact import Artefact
from offload_perception.tensor import Tensors, TensorSpec

_OVERHEAD_BYTES = 4096  # what a codec may add to incompressible data


def reason_to_refuse(packet: FeaturePacket, artefact: Artefact) -> str:
    """Return why the server of `artefact` has to refuse `packet`; empty if all is well."""
    if packet.model_digest != artefact.digest:
        return (f'{packet.drone} runs another model (digest {packet.model_digest[:12]}..., this '
                f'server has {artefact.name} {artefact.digest[:12]}...); start both with the same '
                'model and weights')
    if not 0 <= packet.split < artefact.last:
        return f'cut {packet.split} does not exist; use 0..{artefact.last - 1}'
    specs = artefact.tensors(packet.split)
    if len(packet.parts) != len(specs):
        return f'{len(specs)} tensors cross at cut {packet.split}, got {len(packet.parts)}'
    end = 0
    for part, spec in zip(packet.parts, specs, strict=True):
        if why := _reason_to_refuse(part, spec, f'cut {packet.split}'):
            return why
        if part.offset != end:
            return f'a tensor begins at byte {part.offset} of the data, not {end}'
        end += part.size
    return '' if end == len(packet.data) else f'{len(packet.data)} bytes of data, not {end}'


def _reason_to_refuse(part: Part, spec: TensorSpec, what: str) -> str:
    found = part.spec
    if (found.dtype, found.shape) != (spec.dtype, spec.shape):
        return f'{what} is {spec.dtype} {spec.shape}, got {found.dtype} {found.shape}'
    if (not math.isclose(found.scale, spec.scale, rel_tol=1e-6)  # nor NaN, nor infinite
            or found.zero_point != spec.zero_point):
        return (f'{what} has scale {spec.scale:g}, zero point {spec.zero_point}; '
                f'got {found.scale:g}, {found.zero_point}')
    if not 0 < part.size <= 2 * spec.nbytes + _OVERHEAD_BYTES:
        return f'{part.size} bytes of data for a tensor of {spec.nbytes} bytes'
    return ''


def decode_packet(packet: FeaturePacket, artefact: Artefact) -> Tensors:
    """Return the tensors in a packet that `reason_to_refuse` accepted.

    :raises DecodeError: if the data are damaged or hold other tensors than they should.
    """
    learned, data = learned_for(artefact, packet.split), memoryview(packet.data).cast('B')
    specs = artefact.tensors(packet.split)
    try:
        return tuple(
            codec.decode(data[part.offset:part.offset + part.size], spec, learned=learned).array
            for part, spec in zip(packet.parts, specs, strict=True))
    except DecodeError as e:
        raise DecodeError(f'cut {packet.split}: {e}') from e
