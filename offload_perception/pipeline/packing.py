"""The packets that go to a server: a frame's tensor, or a probe of the link."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from offload_perception import codec
from offload_perception.codec.calibration import learned_for
from offload_perception.frames import PROBE_CODEC, FeaturePacket, Frame, Part
from offload_perception.network.artefact import Artefact
from offload_perception.pipeline.link_times import LinkTimes
from offload_perception.pipeline.plan import EdgeSettings
from offload_perception.tensor import Tensors, TensorSpec


def pack(frame: Frame, tensors: Tensors, ready_s: float, artefact: Artefact,
         settings: EdgeSettings, links: LinkTimes, clock: Callable[[], float]) -> FeaturePacket:
    """Encode the tensors at the frame's cut; the stage counts from `ready_s`, the head's end."""
    specs = artefact.tensors(frame.split)
    parts, data = joined(specs, codec.encode_tensors(tensors, specs, frame.codec,
                                                     learned=learned_for(artefact, frame.split)))
    frame.encoded_bytes, frame.encoded_s = len(data), clock()
    frame.stages.encode = frame.encoded_s - ready_s
    remaining_s = 0.0
    if frame.deadline_s:
        remaining_s = links.left_to(
            frame.server, frame.deadline_s - (frame.encoded_s - frame.arrival_s))
    return FeaturePacket(
        header=frame.header, drone=settings.drone, sequence=frame.sequence,
        nonce=frame.nonce, model_digest=artefact.digest, split=frame.split,
        split_name=frame.split_name, codec=frame.codec, parts=parts, remaining_s=remaining_s,
        data=data)


def joined(specs: Sequence[TensorSpec],
           encoded: Sequence[Any]) -> tuple[tuple[Part, ...], Any]:
    """Return the parts of a packet, and their data: one part's own, or several in a row."""
    starts = accumulate((len(data) for data in encoded), initial=0)
    parts = tuple(Part(spec, start, len(data))
                  for spec, start, data in zip(specs, starts, encoded, strict=False))
    return parts, encoded[0] if len(encoded) == 1 else b''.join(encoded)


def probe_packet(nonce: int, nbytes: int, *, header: Any, drone: str,
                 artefact: Artefact) -> FeaturePacket:
    """Return a packet of `nbytes` zeros that is answered at once and only measures the link."""
    return FeaturePacket(
        header=header, drone=drone, sequence=0, nonce=nonce, model_digest=artefact.digest,
        split=0, split_name='', codec=PROBE_CODEC, parts=(), remaining_s=0.0,
        data=np.zeros(nbytes, np.uint8))
