"""Flights as their bag records them, one for each drone."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import BagError, IncomingError
from offload_perception.health import findings_of
from offload_perception.health.steady import JUST_OVER
from offload_perception.recording import BagMessage, BagReader
from offload_perception.report.topic_table import Table, table_of, table_of_objects
from offload_perception.telemetry.drone_names import in_order
from offload_perception.telemetry.meaning import run_caveats
from offload_perception.telemetry.records import (
    frame_record,
    power_record,
    result_record,
    stamp_ns,
    truth_record,
)
from offload_perception.telemetry.rules import checked
from offload_perception.telemetry.summary import ResultRecord, Summary, Tally

# Name of a table, and the topic in the drone's namespace that fills it.
_TOPICS = {'frames': 'frame_latency', 'power': 'power', 'energy': 'frame_energy',
           'decisions': 'offload_decision', 'results': 'classification', 'truths': 'ground_truth',
           'policies': 'mission_policy', 'geotags': 'geotagged'}
_IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
SAMPLES = 8
IN_FULL = 4  # drones of a bag


@dataclass(frozen=True)
class Sample:
    """A recorded image, the message as it is, and its result.

    `objects` are its Detection messages, `truth` its true class, empty if it is not known.
    """

    image: Any
    t_s: float
    result: ResultRecord
    truth: str
    objects: Sequence[Any] = ()


@dataclass
class Flight:
    """Everything a report needs of one drone in a bag.

    `name` is that of the bag, with the drone's if there are several; times are from the first
    frame of any of them. `batches` has for each server how many computations of 1, 2, ..
    tensors together it reports at the end, `served` the last of its ServedDrones.
    `published` is how many images the camera reports to have sent, None if unknown.
    `values` has the last values in the diagnostics of each node, `setups` what each node was run
    with: parameters, version and computer. `notes` say in words what the reader left out.
    `warnings` counts the findings in diagnostics above OK by node and name, which is about once a
    second each; `texts` has the last text of each.
    """

    name: str
    bag: Path
    namespace: str
    tables: dict[str, Table]
    summary: Summary
    published: int | None = None
    warnings: Counter[tuple[str, str]] = field(default_factory=Counter)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    trained: bool = True
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    setups: dict[str, dict[str, str]] = field(default_factory=dict)
    truncated: bool = False
    growing: bool = False
    notes: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    batches: dict[str, tuple[int, ...]] = field(default_factory=dict)
    served: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Table:
        try:
            table: Table = self.__dict__['tables'][name]
            return table
        except KeyError:
            raise AttributeError(name) from None

    @property
    def emulated(self) -> bool:
        """Return whether any power figure comes from an emulator."""
        return bool(len(self.power) and np.any(self.power['emulated']))

    @property
    def closing_lines(self) -> list[str]:
        """Return the lines that the demo ends with, from the same messages by the same code."""
        return self.summary.closing_lines(self.published, self.caveats)

    @property
    def tally(self) -> Tally:
        """Return the outcomes of the frames, including those that never arrived."""
        return self.summary.tally(self.published)

    @property
    def caveats(self) -> list[str]:
        """Return what the labels of this flight do not mean."""
        return run_caveats(self.trained, self.values_of('edge_inference'),
                           self.values_of('camera'))

    @property
    def by_frame(self) -> Table:
        """Return the frames, one row each, with the energy and the decision of their stamp.

        The columns of FrameEnergy begin with `energy_`, those of OffloadDecision with `decision_`;
        a bag without such messages has no such columns. With a static split only the first frame
        of each choice has a decision.
        """
        return self.frames.joined(self.energy, 'stamp_ns', 'energy_').joined(
            self.decisions, 'stamp_ns', 'decision_')

    def values_of(self, name: str) -> dict[str, str]:
        """Return the last values in the diagnostics of a node of this drone."""
        return self.values.get(f'{self.namespace}/{name}', {})


def load_flight(bag: str | Path, namespace: str | None = None) -> Flight:
    """Read the flight of one drone in a bag.

    :param namespace: of the drone, needed if the bag has several.
    :raises BagError: if the bag has no frame of such a drone, or of several.
    """
    flights = load_flights(bag, namespace)
    if len(flights) > 1:
        raise BagError(f'{bag} has several drones, {", ".join(f.namespace for f in flights)}: '
                       'choose one by its namespace')
    return flights[0]


def load_flights(bag: str | Path, namespace: str | None = None) -> list[Flight]:
    """Read the flights of all drones in a bag, or of the one in a namespace.

    :raises BagError: if the bag has no frame of a drone, or of that one.
    """
    reader = BagReader(bag)
    recorded = _Recorded()
    for m in reader:
        recorded.add(m)
    drones = _drones_of(recorded)
    wanted = [d for d in drones if namespace is None or d == f'/{namespace.strip("/")}']
    if not wanted:
        raise BagError(f'{bag} has no frame{f" of {namespace}" if namespace else ""}: no message '
                       f'on a frame_latency topic{_of_others(drones)}')
    try:
        flights = _flights_of(recorded, Path(bag), drones, wanted)
        _add_samples(reader, in_full(flights), recorded)
    except (AttributeError, TypeError, ValueError, KeyError, OverflowError) as e:
        raise BagError(f'{bag} has messages of our types with other fields ({e}): was it recorded '
                       'with another version of this package?') from e
    for flight in flights:
        flight.truncated, flight.growing = bool(reader.truncated), bool(reader.growing)
        flight.notes = [*reader.notes, *recorded.notes]
    return flights


def in_full(flights: Sequence[Flight]) -> list[Flight]:
    """Return the flights that are reported with charts: of a bag with many drones, a few.

    These are the ones that met the smallest share of their deadlines.
    """
    chosen = set[int]()
    for bag in {f.bag for f in flights}:
        worst = sorted((f for f in flights if f.bag == bag), key=lambda f: (
            1.0 if f.summary.deadline_share is None else f.summary.deadline_share))
        chosen |= {id(f) for f in worst[:IN_FULL]}
    return [f for f in flights if id(f) in chosen]


class _Recorded:
    """Decoded messages by topic; images are only counted.

    Invalid messages are left out and counted.
    """

    def __init__(self) -> None:
        self._unusable: dict[str, tuple[int, str]] = {}
        self.messages: dict[str, list[tuple[int, Any]]] = {}
        self.types: dict[str, str] = {}
        self.last_ns = 0

    def add(self, m: BagMessage) -> None:
        kind = self.types.setdefault(m.topic, m.type.name)
        self.last_ns = max(self.last_ns, m.time_ns)
        if kind not in _WANTED:
            return
        try:
            message = checked(kind.rpartition('/')[2], m.decode())
        except IncomingError as e:
            self._unusable[m.topic] = self._unusable.get(m.topic, (0, ''))[0] + 1, str(e)
        except (AttributeError, TypeError) as e:
            raise BagError(f'{m.topic}: a message without the fields of {kind} ({e})') from e
        else:
            self.messages.setdefault(m.topic, []).append((m.time_ns, message))

    @property
    def notes(self) -> list[str]:
        """Return in words which messages were left out."""
        return [f'{topic}: {n} messages are left out, the last because {reason}'
                for topic, (n, reason) in self._unusable.items()]

    def of_type(self, base: str) -> Iterator[tuple[int, Any]]:
        """Yield the messages of every topic of one type."""
        for topic, kind in self.types.items():
            if kind == base:
                yield from self.messages.get(topic, ())


_OURS = 'offload_perception/msg'
_HEALTH, _SETUP = (f'diagnostic_msgs/msg/Diagnostic{kind}' for kind in ('Array', 'Status'))
_WANTED = {_HEALTH, _SETUP, *(f'{_OURS}/{name}' for name in (
    'FrameLatency', 'PowerSample', 'FrameEnergy', 'OffloadDecision', 'Classification',
    'Detections', 'ServerStatus', 'ServedDrones', 'MissionPolicy', 'GeotaggedClassification'))}


def _drones_of(recorded: _Recorded) -> list[str]:
    suffix = '/frame_latency'
    return in_order(t.removesuffix(suffix) for t, kind in recorded.types.items()
                    if kind == f'{_OURS}/FrameLatency' and t.endswith(suffix)
                    and recorded.messages.get(t))


def _of_others(drones: list[str]) -> str:
    return f'; it has frames of {", ".join(drones)}' if drones else ''


def _flights_of(recorded: _Recorded, bag: Path, drones: list[str],
                wanted: list[str]) -> list[Flight]:
    """Return a flight for each wanted one of the drones; what concerns all is in each."""
    start_ns = min(recorded.messages[f'{d}/frame_latency'][0][0] for d in wanted)
    status = list(recorded.of_type(f'{_OURS}/ServerStatus'))
    servers = table_of(status, start_ns)
    flights = [_flight_of(recorded, bag, d, start_ns) for d in wanted]
    for flight in flights:
        if len(flights) > 1:
            flight.name = f'{bag.stem} {flight.namespace}'
        flight.tables['servers'] = servers
        flight.models = {m.model for _, m in status}
        flight.batches = {m.server: tuple(getattr(m, 'batches', ())) for _, m in status}
        flight.served = {m.server: m for _, m in recorded.of_type(f'{_OURS}/ServedDrones')}
        others = {d for d in drones if d != flight.namespace}
        for _, m in recorded.of_type(_HEALTH):
            _add_diagnostics(flight, m, others)
        for _, m in recorded.of_type(_SETUP):
            if m.name.rpartition('/')[0] not in others:
                flight.setups[m.name] = {v.key: v.value for v in m.values}
    return flights


def _flight_of(recorded: _Recorded, bag: Path, namespace: str, start_ns: int) -> Flight:
    raw = {table: recorded.messages.get(f'{namespace}/{topic}', [])
           for table, topic in _TOPICS.items()}
    flight = Flight(bag.stem, bag, namespace, {t: table_of(m, start_ns) for t, m in raw.items()},
                    _summary_of(raw), duration_s=(recorded.last_ns - start_ns) * 1e-9)
    flight.tables['detections'] = table_of_objects(
        recorded.messages.get(f'{namespace}/detections', []), start_ns)
    flight.trained = all(m.trained for _, m in raw['results'])
    return flight


def _summary_of(raw: dict[str, list[tuple[int, Any]]]) -> Summary:
    """Return the summary, fed in the order of recording as the monitor is."""
    summary = Summary()
    feeds: list[tuple[str, Callable[[int, Any], Any], Callable[[Any], None]]] = [
        ('frames', lambda t, m: frame_record(m, 1e-9 * t), summary.add_frame),
        ('power', lambda t, m: power_record(m, 1e-9 * t), summary.add_power),
        ('results', lambda _, m: result_record(m), summary.add_result),
        ('truths', lambda _, m: truth_record(m), summary.add_truth)]
    events = [(t, n, i) for n, (table, *_) in enumerate(feeds)
              for i, (t, _) in enumerate(raw[table])]
    for _, n, i in sorted(events):
        table, record, add = feeds[n]
        if (r := record(*raw[table][i])) is not None:
            add(r)
    return summary


def _add_diagnostics(flight: Flight, m: Any, others: Collection[str]) -> None:
    """Add findings and values of nodes, but not of those in the namespaces of other drones."""
    for s in m.status:
        if s.name.rpartition('/')[0] in others:
            continue
        values = {v.key: v.value for v in s.values}
        level = int.from_bytes(s.level) if isinstance(s.level, bytes) else s.level
        for f in findings_of(level, s.message, values):
            if f.level:
                name = f.name or s.message
                flight.warnings[s.name, name] += 1
                flight.texts[s.name, name] = f.text.removesuffix(JUST_OVER)
        flight.values[s.name] = values
    published = flight.values_of('camera').get('frames published', '')
    if published.isascii() and published.isdecimal() and len(published) < 16:
        flight.published = int(published) or flight.published


def _images_of(flight: Flight) -> tuple[str, ...]:
    """Return the topics of the drone's images, raw and compressed.

    Empty if the bag does not say; an image is then recognised by its stamp.
    """
    edge = flight.values_of('edge_inference')
    topic = edge.get('preview on') or edge.get('images from', '').partition(',')[0]
    raw = topic.removesuffix('/compressed')
    return (raw, f'{raw}/compressed') if raw else ()


@dataclass
class _Wanted:
    """The images that are wanted of a flight, by their stamps, and where they may come from."""

    flight: Flight
    topics: tuple[str, ...]
    results: dict[int, int]  # row of a result, by the stamp of its image
    truth: dict[int, str]
    objects: dict[int, Sequence[Any]]

    def takes(self, topic: str) -> bool:
        """Return whether a topic may have its images; a class map has its image's stamp."""
        return topic in self.topics if self.topics else (
            topic != f'{self.flight.namespace}/class_map')


def _wanted(flight: Flight, recorded: _Recorded) -> _Wanted:
    """Choose a few images, spread over the flight, that have results."""
    results = recorded.messages.get(f'{flight.namespace}/classification', [])
    chosen = np.unique(np.linspace(0, len(results) - 1, SAMPLES).astype(int)) if results else ()
    rows = {stamp_ns(results[i][1].header): i for i in chosen}
    truth = dict(zip(flight.truths['stamp_ns'], flight.truths['labels'], strict=True))
    objects = {stamp_ns(m.header): m.detections
               for _, m in recorded.messages.get(f'{flight.namespace}/detections', [])
               if stamp_ns(m.header) in rows}
    return _Wanted(flight, _images_of(flight), rows, truth, objects)


def _add_samples(reader: BagReader, flights: Sequence[Flight], recorded: _Recorded) -> None:
    """Give flights a few of their images with the results, in one pass over the bag."""
    wanted = [_wanted(flight, recorded) for flight in flights]
    for m in reader:
        if m.type.name not in _IMAGES or not (takers := [w for w in wanted if w.takes(m.topic)]):
            continue
        image = m.decode()
        stamp = stamp_ns(image.header)
        for w in takers:
            if (i := w.results.pop(stamp, None)) is not None:
                result = recorded.messages[f'{w.flight.namespace}/classification'][i][1]
                w.flight.samples.append(Sample(
                    image, float(w.flight.results['t'][i]), result_record(result),
                    str(w.truth.get(stamp, '')), w.objects.get(stamp, ())))
