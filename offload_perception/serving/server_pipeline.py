"""What all ways to serve tensors share: the check at the border, accounting, replies."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, nan
from threading import Condition

from offload_perception.frames import PROBE_CODEC, FeaturePacket, Reply, Status
from offload_perception.incoming import text
from offload_perception.network.artefact import Artefact
from offload_perception.serving.check_packet import reason_to_refuse
from offload_perception.serving.compute_tails import Computed
from offload_perception.serving.schedule import Refusal, Waiting
from offload_perception.serving.served import DroneCounts, Served
from offload_perception.serving.server_load import Load, LoadMeter

_LONGEST_WHY = 1000  # characters of a refusal
_SIZED_BYTES = 1024  # what a tensor in the queue takes beside its data

Job = Waiting[FeaturePacket]


@dataclass(frozen=True)
class ServerSettings:
    """`name` is its namespace, for its replies; more than `queue_limit` waiting is refused.

    `batch` is the most tensors computed together; 0 = as many as the network can. `shares` are
    the weights of drones by namespace, 1 for others.
    """

    name: str
    queue_limit: int = 64
    top_k: int = 5
    min_score: float = 0.4
    batch: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerCounts:
    """Running totals: received = sum of `replies` + waiting + those being computed.

    `batches` counts computations of 1, 2, .. tensors together.
    """

    received: int = 0
    replies: Counter[Status] = field(default_factory=Counter)
    batches: tuple[int, ...] = ()


def wait_of(job: Job, computed: Computed, done_s: float) -> float:
    """Return how long a tensor that was computed by `done_s` had waited [s]."""
    return max(done_s - job.arrival_s - computed.decode_s - computed.tail_s, 0.0)


class ServerPipeline(ABC):
    """Takes packets from any thread, and gives every packet exactly one `reply`.

    That is a result, or a refusal that says why; it comes at once, from the thread that submitted
    the packet, if it is refused then.

    :param most: tensors that are computed together at most.
    :ivar ran: runtime of the last tail, `ran_on` its device.
    """

    def __init__(self, *, artefact: Artefact, most: int, settings: ServerSettings,
                 reply: Callable[[Reply], None], clock: Callable[[], float]) -> None:
        self.most = most
        self._artefact, self._settings, self._reply, self._clock = (
            artefact, settings, reply, clock)
        self._load = LoadMeter(cuts=artefact.last, now_s=clock())
        self._wake = Condition()
        self._served = Served()
        self._received, self._replies = 0, Counter[Status]()
        self._together = Counter[int]()  # tensors, by how many were computed together
        self._running = False
        self.ran = self.ran_on = ''

    @abstractmethod
    def start(self) -> None:
        """Begin to take packets."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more packets, and answer all that were taken."""

    @abstractmethod
    def current_load(self) -> Load:
        """Return how busy the server is now."""

    @abstractmethod
    def backlog_s(self) -> float:
        """Return the wait of a tensor that arrives now, by the work ahead of it [s]."""

    @abstractmethod
    def _admit(self, job: Job, now_s: float) -> list[Refusal[FeaturePacket]]:
        """Take a tensor, or not; return who is refused for it. The lock is held."""

    @abstractmethod
    def _waiting(self) -> Counter[str]:
        """Return how many tensors of each drone wait. The lock is held."""

    def submit(self, packet: FeaturePacket) -> None:
        """Take a packet; a probe is answered at once and not counted."""
        now = self._clock()
        if packet.codec == PROBE_CODEC:
            self._reply(Reply(packet, Status.PROBE, server=self._settings.name,
                              server_total_s=self._clock() - now))
            return
        job = Job(packet.drone, packet.split, now,
                  now + packet.remaining_s if packet.remaining_s else inf,
                  len(packet.data) + _SIZED_BYTES, packet)
        why = reason_to_refuse(packet, self._artefact)
        with self._wake:
            self._received += 1
            self._served.count_received(packet.drone)
            if why:
                refused = [Refusal(job, Status.REFUSED, why)]
            elif not self._running:
                refused = [Refusal(job, Status.BUSY, 'the server is not serving')]
            else:
                refused = self._admit(job, now)
                if job not in (refusal.tensor for refusal in refused):
                    self._load.count_arrival(now)
        self._refuse(refused)

    @property
    def counts(self) -> ServerCounts:
        """Return the totals."""
        with self._wake:
            return ServerCounts(self._received, self._replies.copy(), tuple(
                self._together[n] // n for n in range(1, self.most + 1)))

    def drones(self) -> tuple[dict[str, DroneCounts], Counter[str]]:
        """Return the totals of each drone, and how many of its tensors wait."""
        with self._wake:
            return self._served.drones(self._clock()), self._waiting()

    def _finish(self, job: Job, computed: Computed, done_s: float, replicas: int = 1) -> None:
        """Answer a tensor that was computed by `done_s`, and count its time.

        :param replicas: how many compute at the same time.
        """
        wait_s = nan
        if computed.status is Status.OK:
            self.ran, self.ran_on = computed.runtime, computed.device
            self._load.observe_tail(job.cut, computed.service_s / replicas, done_s,
                                    tail_s=computed.tail_s)
            wait_s = wait_of(job, computed, done_s)
            with self._wake:
                self._together[computed.batch] += 1
        self._answer(job, computed, wait_s)

    def _refuse(self, refusals: list[Refusal[FeaturePacket]]) -> None:
        for refusal in refusals:
            self._answer(refusal.tensor, Computed(refusal.status, refusal.why))

    def _answer(self, job: Job, c: Computed, wait_s: float = nan) -> None:
        with self._wake:
            self._replies[c.status] += 1
            self._served.count_reply(job.drone, c.status)
        self._reply(Reply(
            packet=job.item, status=c.status, message=text(c.message, _LONGEST_WHY),
            result=c.result, server=self._settings.name, runtime=c.runtime, device=c.device,
            batch=c.batch, expected_wait_s=job.expected_wait_s, server_wait_s=wait_s,
            decode_s=c.decode_s, tail_s=c.tail_s,
            server_total_s=self._clock() - job.arrival_s))
