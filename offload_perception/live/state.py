"""The current state of a drone: telemetry messages in, plain data out."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from offload_perception.live import view, warnings
from offload_perception.live.plain_data import plain, text
from offload_perception.live.warnings import Health
from offload_perception.telemetry.records import (
    frame_record,
    power_record,
    result_record,
    stamp_ns,
    truth_record,
)
from offload_perception.telemetry.summary import Summary

WINDOW_S = 5.0  # what 'now' means for rates and latencies
PICTURE_S = 3.0  # how long a picture with a result is preferred to a newer one without
Key = TypeVar('Key')
Value = TypeVar('Value')
_FRAMES, _LABELS, _NODES, _CUTS, _PICTURES, _DETAILS, _SERVERS = 1024, 256, 256, 1024, 16, 128, 64


@dataclass(frozen=True)
class Received:
    """A message and when it came (monotonic seconds)."""

    at_s: float
    message: Any


@dataclass(frozen=True)
class Picture:
    """A camera image as JPEG, with the stamp (ns) of its header."""

    number: int
    at_s: float
    stamp_ns: int
    jpeg: bytes


class LiveState:
    """Takes messages (anything with their fields) and gives the current state; of bounded memory.

    May be fed and read from several threads. Ages are by `clock`, monotonic seconds.
    """

    def __init__(self, drone: str, servers: Iterable[str],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.drone, self.summary, self.clock = drone, Summary(), clock
        self.started_s = clock()
        self.frames: deque[Received] = deque(maxlen=_FRAMES)
        self.first_frame_s: float | None = None
        self.last_result_s: float | None = None
        self.labels: OrderedDict[int, Received] = OrderedDict()  # as `view.labels` has them
        self.details: OrderedDict[int, dict[str, Any]] = OrderedDict()  # boxes, or a class map
        self.health: OrderedDict[str, Health] = OrderedDict()
        self.servers: dict[str, Received | None] = dict.fromkeys(servers)
        self.cuts: dict[int, str] = {}
        self.power: Received | None = None
        self.energy: Received | None = None
        self.decision: Received | None = None
        self.policy: Received | None = None
        self.digest = ''
        self.pictures: deque[Picture] = deque(maxlen=_PICTURES)
        self._pictures_taken = 0
        self._lock = threading.Lock()

    # -- messages in ------------------------------------------------------------------------

    def add_frame(self, m: Any) -> None:
        """Take a FrameLatency."""
        with self._lock:
            self.summary.add_frame(frame_record(m, self.clock()))
            self.frames.append(self._now(m))
            now = self.frames[-1].at_s
            self.first_frame_s = self.first_frame_s or now
            self.last_result_s = now if view.has_result(m) else self.last_result_s
            if m.split_name and len(self.cuts) < _CUTS:
                self.cuts[m.split] = m.split_name
            if m.server and len(self.servers) < _SERVERS:
                self.servers.setdefault(m.server)

    def add_power(self, m: Any) -> None:
        """Take a PowerSample."""
        with self._lock:
            self.summary.add_power(power_record(m, self.clock()))
            self.power = self._now(m)

    def add_energy(self, m: Any) -> None:
        """Take a FrameEnergy; that of a dropped frame is ignored, since it has no result."""
        with self._lock:
            if not any(h.message.sequence == m.sequence and not view.has_result(h.message)
                       for h in self.frames):
                self.energy = self._now(m)

    def add_decision(self, m: Any) -> None:
        """Take an OffloadDecision."""
        with self._lock:
            self.decision = self._now(m)

    def add_policy(self, m: Any) -> None:
        """Take a MissionPolicy."""
        with self._lock:
            self.policy = self._now(m)

    def add_result(self, m: Any) -> None:
        """Take a Classification, of any kind of network."""
        record, shown = result_record(m), plain(view.labels(m))
        with self._lock:
            self.digest = m.model_digest
            self.summary.add_result(record)
            _keep(self.labels, record.stamp_ns, self._now(shown), _LABELS)

    def add_detections(self, m: Any) -> None:
        """Take the Detections in an image."""
        shown = plain(view.boxes(m))
        with self._lock:
            _keep(self.details, stamp_ns(m.header), shown, _DETAILS)

    def add_class_map(self, header: Any, png: str) -> None:
        """Take the class map of an image, as a translucent PNG in base64."""
        with self._lock:
            _keep(self.details, stamp_ns(header), {'map': png}, _DETAILS)

    def awaits_details(self, header: Any) -> bool:
        """Return whether the image of a stamp is among the pictures, without boxes or map yet."""
        stamp = stamp_ns(header)
        with self._lock:
            return stamp not in self.details and any(p.stamp_ns == stamp for p in self.pictures)

    def add_truth(self, m: Any) -> None:
        """Take the true Classification of a generated image."""
        if record := truth_record(m):
            with self._lock:
                self.summary.add_truth(record)

    def add_server(self, server: str, m: Any) -> None:
        """Take the ServerStatus of the server in the namespace `server`.

        One that the drone neither was said to use nor names in its frames is ignored.
        """
        with self._lock:
            if server in self.servers:
                self.servers[server] = self._now(m)

    def add_health(self, name: str, level: int, message: str, values: dict[str, str]) -> None:
        """Take the diagnostics of one node."""
        with self._lock:
            received = warnings.follow(self.health.get(name), self.clock(), level, message, values)
            _keep(self.health, name, received, _NODES)

    def add_picture(self, header: Any, jpeg: bytes) -> None:
        """Take a camera image; `header` is its own."""
        with self._lock:
            self._pictures_taken += 1
            self.pictures.append(
                Picture(self._pictures_taken, self.clock(), stamp_ns(header), jpeg))

    def forget_nodes(self, namespace: str) -> None:
        """Forget the diagnostics of the nodes in a namespace: they are another drone's."""
        with self._lock:
            for name in [n for n in self.health if namespace_of(n) == namespace]:
                del self.health[name]

    def _now(self, m: Any) -> Received:
        return Received(self.clock(), m)

    # -- the current state ------------------------------------------------------------------

    def node(self, name: str) -> Health | None:
        """Return the last diagnostics of a node of this drone."""
        return self.health.get(f'{self.drone.rstrip("/")}/{name}')

    def values(self, name: str) -> Mapping[str, str]:
        """Return the values in the last diagnostics of a node of this drone."""
        found = self.node(name)
        return found.values if found else {}

    @property
    def images_published(self) -> int | None:
        """Return how many images the drone's camera says it has published; None = unknown."""
        said = self.values('camera').get('frames published', '')
        return int(said) if said.isascii() and said.isdecimal() and len(said) < 16 else None

    @property
    def hears_drone(self) -> bool:
        """Return whether any message of this drone has arrived."""
        inside = f'{self.drone.rstrip("/")}/'
        return bool(self.frames or self.power or self.decision
                    or any(name.startswith(inside) for name in tuple(self.health)))

    def caveats(self) -> list[str]:
        """Return what is not real, or means nothing, in this flight."""
        with self._lock:
            return view.caveats(self)

    def picture(self) -> tuple[Picture, dict[str, Any] | None] | None:
        """Return the newest picture that has a result, and that result with its boxes or map.

        If no recent one has a result, the newest picture and None; None if there is no picture.
        """
        with self._lock:
            if not self.pictures:
                return None
            oldest_s = self.clock() - PICTURE_S
            known = (p for p in reversed(self.pictures)
                     if p.stamp_ns in self.labels and p.at_s >= oldest_s)
            shown = next(known, self.pictures[-1])
            received = self.labels.get(shown.stamp_ns)
            return shown, {**received.message, **self.details.get(shown.stamp_ns, {}),
                           'fit': text(self.values('edge_inference').get('fit', ''))
                           } if received else None

    def closing_lines(self, published: int | None = None) -> list[str]:
        """Return the lines that close a run; `published` as for `Summary.tally`."""
        with self._lock:
            return self.summary.closing_lines(published, view.run_caveats(self))

    def complaints(self) -> list[str]:
        """Return the nodes' current findings in words; see `warnings.complaints`."""
        with self._lock:
            return warnings.complaints(self.health, self.clock(),
                                       warnings.unused_servers(self))

    def snapshot(self) -> dict[str, Any]:
        """Return all that a viewer shows, as JSON can carry it; see `view` for the parts.

        Durations in seconds, power in watts, energy in joules, sizes in bytes; None = not known.
        """
        with self._lock:
            now, unused = self.clock(), warnings.unused_servers(self)
            recent, seconds, last = self._recent(now), self._seconds(now), self.last_result
            shown: dict[str, Any] = plain({
                'drone': self.drone, 'state': warnings.pill(self, now),
                'flight_s': None if self.first_frame_s is None else now - self.first_frame_s,
                'frame_age_s': now - self.frames[-1].at_s if self.frames else None,
                'result_age_s':
                    None if self.last_result_s is None else now - self.last_result_s,
                'picture_age_s': now - self.pictures[-1].at_s if self.pictures else None,
                'about': view.about(self), 'caveats': view.caveats(self),
                'recording': view.recording(self, now),
                'counts': view.counts(self.summary),
                'policy': view.policy(self.policy, now) if self.policy else '',
                'network': view.network(self, last, now) if last else None,
                'latency': view.latency(recent, last, seconds),
                'power': view.power(self, now), 'link': view.link(self, recent, seconds),
                'servers': [view.server(name, received, now, used=name not in unused)
                            for name, received in self.servers.items()],
                'foreign': warnings.foreign_servers(self),
                'warnings': warnings.items(self.health, now, unused),
                'health': warnings.nodes(self.health, now, unused),
                'result': view.result(self, now)})
            return shown

    def row(self) -> dict[str, Any]:
        """Return the drone in a line of a table; units as in `snapshot`."""
        with self._lock:
            now = self.clock()
            row: dict[str, Any] = plain(
                view.row(self, self._recent(now), self._seconds(now), now))
            return row

    @property
    def last_result(self) -> Any:
        """Return the FrameLatency of the last frame with a result, None if there is none."""
        return next((h.message for h in reversed(self.frames) if view.has_result(h.message)),
                    None)

    def _recent(self, now: float) -> list[Any]:
        return [h.message for h in self.frames if now - h.at_s <= WINDOW_S]

    def _seconds(self, now: float) -> float:
        """Return the time over which the recent frames ended."""
        return max(1.0, min(WINDOW_S, now - self.started_s))


def namespace_of(node: str) -> str:
    """Return the namespace in a fully qualified name of a node; empty if the name is none."""
    head, slash, _ = node.rpartition('/')
    return head or slash


def _keep(store: OrderedDict[Key, Value], key: Key, value: Value, limit: int) -> None:
    """Store as the newest entry, and forget the oldest beyond the limit."""
    store[key] = value
    store.move_to_end(key)
    while len(store) > limit:
        store.popitem(last=False)
