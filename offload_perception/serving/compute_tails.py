"""The tails of several tensors, computed together: decode, layers, meaning."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import nan

from offload_perception.errors import DecodeError
from offload_perception.frames import FeaturePacket, Result, Status
from offload_perception.network.interpret import interpret
from offload_perception.network.runnable import ServedNetwork
from offload_perception.serving.check_packet import decode_packet
from offload_perception.tensor import Tensors


@dataclass(frozen=True)
class Computed:
    """What became of a tensor, and the seconds of each step; NaN if it was not done.

    `alone_s` is the time of its own layers, up to the join, `together_s` that of the layers from
    there on and of reading their outputs, of all `batch` tensors.
    """

    status: Status
    message: str = ''
    result: Result = field(default_factory=Result)
    runtime: str = ''
    device: str = ''
    batch: int = 0
    decode_s: float = nan
    alone_s: float = nan
    together_s: float = nan

    @property
    def tail_s(self) -> float:
        """Return the time of the network, which others may have shared [s]."""
        return self.alone_s + self.together_s

    @property
    def service_s(self) -> float:
        """Return this tensor's part of the computing time [s]."""
        return self.decode_s + self.alone_s + self.together_s / max(self.batch, 1)


def failed(error: Exception) -> Computed:
    """Return what a drone is answered if its tensor could not be computed."""
    return Computed(Status.FAILED, f'{type(error).__name__}: {error}')


def compute_tails(network: ServedNetwork, packets: Sequence[FeaturePacket], *, top_k: int,
                  min_score: float,
                  clock: Callable[[], float] = time.monotonic) -> list[Computed]:
    """Return what became of each of up to `most` packets that `reason_to_refuse` accepted.

    It raises nothing: a packet that cannot be decoded is refused, and what fails has failed.
    """
    brought = [_bring_to_join(network, packet, clock) for packet in packets]
    ready = [n for n, (_, tensors) in enumerate(brought) if tensors is not None]
    done = {n: computed for n, (computed, tensors) in enumerate(brought) if tensors is None}
    if ready:
        started = clock()
        try:
            frames = network.together([max(packets[n].split, network.join) for n in ready],
                                      [brought[n][1] or () for n in ready])
            results = [interpret(outputs, network.artefact, top_k=top_k, min_score=min_score)
                       for outputs in frames]
            together_s = clock() - started
        except Exception as e:  # whatever it is, the drones get an answer
            why = failed(e)
            done |= {n: replace(brought[n][0], status=why.status, message=why.message)
                     for n in ready}
        else:
            done |= {n: replace(brought[n][0], result=result, runtime=network.ran,
                                device=network.ran_on, batch=len(ready), together_s=together_s)
                     for n, result in zip(ready, results, strict=True)}
    return [done[n] for n in range(len(packets))]


def _bring_to_join(network: ServedNetwork, packet: FeaturePacket,
                   clock: Callable[[], float]) -> tuple[Computed, Tensors | None]:
    """Decode a tensor and run its own layers; there are no tensors if that fails."""
    started = clock()
    try:
        tensors = decode_packet(packet, network.artefact)
        decoded = clock()
        tensors = network.to_join(packet.split, tensors)
    except DecodeError as e:
        return Computed(Status.REFUSED, str(e)), None
    except Exception as e:  # whatever it is, the drone gets an answer
        return failed(e), None
    return Computed(Status.OK, decode_s=decoded - started, alone_s=clock() - decoded), tensors
