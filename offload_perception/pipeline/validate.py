"""Whether a tensor may go into the network, and whether a reply is that of a frame."""

import math

import numpy as np

from offload_perception import codec
from offload_perception.codec.calibration import basis_of
from offload_perception.errors import DecodeError
from offload_perception.frames import FeaturePacket, Frame, ReceivedReply, Status
from offload_perception.network.artefact import Artefact

_OVERHEAD_BYTES = 4096  # what a codec may add to incompressible data


def reason_to_refuse(packet: FeaturePacket, artefact: Artefact) -> str:
    """Return why the server of `artefact` has to refuse `packet`; empty if all is well."""
    if packet.model_digest != artefact.digest:
        return (f'{packet.drone} runs another model (digest {packet.model_digest[:12]}..., this '
                f'server has {artefact.name} {artefact.digest[:12]}...); start both with the same '
                'model and weights')
    if not 0 <= packet.split < artefact.last:
        return f'cut {packet.split} does not exist; use 0..{artefact.last - 1}'
    spec = artefact.tensor(packet.split)
    if (packet.dtype, tuple(packet.shape)) != (spec.dtype, spec.shape):
        return (f'cut {packet.split} is {spec.dtype} {spec.shape}, '
                f'got {packet.dtype} {tuple(packet.shape)}')
    if (not math.isclose(packet.scale, spec.scale, rel_tol=1e-6)  # nor NaN, nor infinite
            or packet.zero_point != spec.zero_point):
        return (f'cut {packet.split} has scale {spec.scale:g}, zero point {spec.zero_point}; '
                f'got {packet.scale:g}, {packet.zero_point}')
    if not 0 < len(packet.data) <= 2 * spec.nbytes + _OVERHEAD_BYTES:
        return f'{len(packet.data)} bytes of data for a tensor of {spec.nbytes} bytes'
    return ''


def decode_packet(packet: FeaturePacket, artefact: Artefact) -> np.ndarray:
    """Return the tensor in a packet that `reason_to_refuse` accepted.

    :raises DecodeError: if the data are damaged or hold another tensor than they should.
    """
    spec = artefact.tensor(packet.split)
    basis = basis_of(artefact, packet.split)
    found = codec.decode(packet.data, max_bytes=spec.nbytes, basis=basis)
    if (found.spec.dtype, found.spec.shape) != (spec.dtype, spec.shape):
        raise DecodeError(f'the data hold {found.spec.dtype} {found.spec.shape}, '
                          f'cut {packet.split} is {spec.dtype} {spec.shape}')
    return found.array


def reason_foreign(reply: ReceivedReply, frame: Frame, digest: str) -> str:
    """Return why `reply` does not belong to the tensor of `frame`; empty if it does.

    :param digest: of the drone's model; a server with another one may only refuse.
    """
    if reply.server != frame.server:
        return f"it comes from '{reply.server}', the tensor went to {frame.server}"
    if reply.nonce != frame.nonce or reply.header != frame.header:
        return 'it does not carry what the tensor carried'
    if reply.status is Status.OK and reply.model_digest != digest:
        return f"it is of another model ('{reply.model_digest[:12]}')"
    return ''
