"""The metadata.yaml of a bag, version 9: the one that ROS 2 Jazzy writes."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILE_NAME = 'metadata.yaml'


@dataclass(frozen=True)
class Topic:
    """A recorded topic; `qos` are the offered profiles as plain data."""

    name: str
    type: str
    hash: str
    qos: list[dict[str, Any]]


@dataclass
class FileSpan:
    """What one file of a bag holds; times in nanoseconds since the epoch."""

    path: str
    start_ns: int | None = None
    end_ns: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, topic: str, time_ns: int) -> None:
        """Count a message."""
        self.start_ns = time_ns if self.start_ns is None else min(self.start_ns, time_ns)
        self.end_ns = max(self.end_ns, time_ns)
        self.counts[topic] = self.counts.get(topic, 0) + 1

    @property
    def messages(self) -> int:
        """Return how many messages it holds."""
        return sum(self.counts.values())


def write_metadata(folder: Path, topics: Iterable[Topic], files: list[FileSpan],
                   distribution: str) -> None:
    """Write metadata.yaml; a reader sees the old or the new one, never a part."""
    part = folder / f'{FILE_NAME}.part'
    part.write_text(yaml.safe_dump({'rosbag2_bagfile_information': _information(
        list(topics), files, distribution)}, sort_keys=False))
    os.replace(part, folder / FILE_NAME)


def _information(topics: list[Topic], files: list[FileSpan], distribution: str) -> dict[str, Any]:
    start_ns = min((f.start_ns for f in files if f.start_ns is not None), default=0)
    end_ns = max((f.end_ns for f in files), default=0)
    return {
        'version': 9, 'storage_identifier': 'mcap',
        **_span(start_ns, end_ns), 'message_count': sum(f.messages for f in files),
        'topics_with_message_count': [
            {'topic_metadata': _topic(t),
             'message_count': sum(f.counts.get(t.name, 0) for f in files)} for t in topics],
        'compression_format': '', 'compression_mode': '',
        'relative_file_paths': [f.path for f in files],
        'files': [{'path': f.path, **_span(f.start_ns or 0, f.end_ns),
                   'message_count': f.messages} for f in files],
        'custom_data': None, 'ros_distro': distribution}


def _span(start_ns: int, end_ns: int) -> dict[str, Any]:
    return {'duration': {'nanoseconds': max(0, end_ns - start_ns)},
            'starting_time': {'nanoseconds_since_epoch': start_ns}}


def _topic(t: Topic) -> dict[str, Any]:
    return {'name': t.name, 'type': t.type, 'serialization_format': 'cdr',
            'offered_qos_profiles': t.qos, 'type_description_hash': t.hash}


def qos_profile(*, reliable: bool, latched: bool, depth: int) -> dict[str, Any]:
    """Return an offered QoS profile as rosbag2 writes it; unset times are its "infinite"."""
    infinite = {'sec': 9223372036, 'nsec': 854775807}
    return {'history': 'keep_last', 'depth': depth,
            'reliability': 'reliable' if reliable else 'best_effort',
            'durability': 'transient_local' if latched else 'volatile',
            'deadline': dict(infinite), 'lifespan': dict(infinite), 'liveliness': 'automatic',
            'liveliness_lease_duration': dict(infinite),
            'avoid_ros_namespace_conventions': False}
