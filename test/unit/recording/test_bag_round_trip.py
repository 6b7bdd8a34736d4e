"""What is written is read back: by us, by mcap, and by rosbags."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.recording.definitions import NOTE, note

from offload_perception.errors import BagError
from offload_perception.recording import BagReader, BagWriter, writer
from offload_perception.recording.library import load_mcap
from offload_perception.recording.metadata import qos_profile

QOS = [qos_profile(reliable=True, latched=False, depth=100)]
TOPICS = ('/a/notes', '/b/notes')
messages = st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(0, 2**32 - 1), st.binary()),
                    max_size=30)


def write(folder: Path, rows: list[tuple[str, int, bytes]], **options: Any) -> Path:
    with BagWriter(folder, **options) as bag:
        for topic in TOPICS:
            bag.add_topic(topic, NOTE, QOS)
        for n, (topic, number, data) in enumerate(rows):
            bag.write(topic, note(number, data), 1000 + n, 900 + n)
            if n % 3 == 2:
                bag.flush()
    return folder


@settings(max_examples=50)
@given(rows=messages, compress=st.booleans(), limit=st.sampled_from([1, 500, 1 << 30]))
def test_every_message_comes_back(tmp_path_factory: pytest.TempPathFactory,
                                  rows: list[tuple[str, int, bytes]], compress: bool,
                                  limit: int) -> None:
    folder = tmp_path_factory.mktemp('bag') / 'flight'
    write(folder, rows, compress=compress, max_file_bytes=limit)
    read = list(BagReader(folder))
    assert [(m.topic, m.data) for m in read] == [(t, note(n, d)) for t, n, d in rows]
    assert [(m.time_ns, m.sent_ns) for m in read] == [(1000 + n, 900 + n)
                                                      for n in range(len(rows))]
    assert all(m.type == NOTE and m.qos == QOS for m in read)
    decoded = [m.decode() for m in read]
    assert [(d.number, bytes(d.data), d.at.time.sec) for d in decoded] == [
        (n, data, 7) for _, n, data in rows]


ROWS = [(TOPICS[n % 2], n, bytes(300)) for n in range(40)]


def test_a_bag_splits_by_size_and_each_file_stands_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / 'flight', ROWS, compress=False, max_file_bytes=2000)
    reader = BagReader(folder)
    assert len(reader.files) > 1
    assert [f.name for f in reader.files] == [f'flight_{n}.mcap' for n in range(len(reader.files))]
    alone = [m.decode().number for f in reader.files for m in BagReader(f)]
    assert alone == list(range(40)) and not reader.truncated


def test_metadata_counts_every_topic_and_file(tmp_path: Path) -> None:
    folder = write(tmp_path / 'flight', ROWS, compress=False, max_file_bytes=2000)
    info = yaml.safe_load((folder / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    assert (info['version'], info['storage_identifier'], info['message_count']) == (9, 'mcap', 40)
    assert {t['topic_metadata']['name']: t['message_count']
            for t in info['topics_with_message_count']} == {TOPICS[0]: 20, TOPICS[1]: 20}
    assert info['relative_file_paths'] == [f['path'] for f in info['files']]
    assert sum(f['message_count'] for f in info['files']) == 40
    assert info['starting_time']['nanoseconds_since_epoch'] == 1000
    assert info['duration']['nanoseconds'] == 39


@pytest.mark.parametrize('limit', [1000, 1 << 30])
def test_the_rosbags_library_opens_it(tmp_path: Path, limit: int) -> None:
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    typesys = pytest.importorskip('rosbags.typesys')
    folder = write(tmp_path / 'flight', ROWS, max_file_bytes=limit)
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    with rosbag2.Reader(folder) as bag:
        for connection in bag.connections:
            store.register(typesys.get_types_from_msg(connection.msgdef.data, connection.msgtype))
        read = [(c.topic, store.deserialize_cdr(data, c.msgtype).number, t)
                for c, t, data in bag.messages()]
        assert bag.message_count == 40 and bag.connections[0].ext.offered_qos_profiles
    assert read == [(topic, n, 1000 + n) for topic, n, _ in ROWS]


@pytest.mark.parametrize('compression', ['NONE', 'STORAGE'])
def test_a_bag_of_another_writer_is_read(tmp_path: Path, compression: str) -> None:
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    bag = rosbag2.Writer(tmp_path / 'foreign', version=9,
                         storage_plugin=rosbag2.StoragePlugin.MCAP)
    bag.set_compression(rosbag2.CompressionMode[compression], rosbag2.CompressionFormat.ZSTD)
    with bag:
        connection = bag.add_connection('/notes', NOTE.name, msgdef=NOTE.text, rihs01=NOTE.hash)
        for n in range(5):
            bag.write(connection, n, note(n, b'x'))
    reader = BagReader(tmp_path / 'foreign')
    assert [(m.topic, m.time_ns, m.decode().number) for m in reader] == [
        ('/notes', n, n) for n in range(5)]
    assert not reader.truncated


def test_the_mcap_library_opens_it_through_its_index(tmp_path: Path) -> None:
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    folder = write(tmp_path / 'flight', ROWS)
    with (folder / 'flight_0.mcap').open('rb') as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == 'ros2'
        assert reader.get_summary().statistics.message_count == 40
        numbers = [d.number for *_, d in reader.iter_decoded_messages(topics=[TOPICS[1]])]
    assert numbers == list(range(1, 40, 2))


def test_a_nearly_full_disk_ends_the_recording_with_a_whole_bag(tmp_path: Path) -> None:
    space = iter([5000, 5000, 999])
    bag = BagWriter(tmp_path / 'flight', min_free_bytes=1000, free=lambda path: next(space))
    bag.add_topic('/a', NOTE, QOS)
    bag.write('/a', note(1), 1)
    bag.flush()
    bag.write('/a', note(2), 2)
    with pytest.raises(BagError, match=r'recording ended.*free some space'):
        bag.flush()
    reader = BagReader(tmp_path / 'flight')
    assert [m.decode().number for m in reader] == [1, 2] and not reader.truncated


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(('left', 'fails', 'text'), [
    (999, None, r'nothing is recorded: .* free some space'),
    (5000, 'write_metadata', r'No space left on device; free some space'),
    (5000, 'start', r'No space left on device; free some space')])
def test_a_disk_that_is_full_at_the_start_leaves_no_folder_behind(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, fails: str | None,
        text: str) -> None:
    if fails == 'write_metadata':
        monkeypatch.setattr(writer, fails, no_space)
    elif fails:
        monkeypatch.setattr(load_mcap().Writer, 'start', no_space)
    with pytest.raises(BagError, match=text):
        BagWriter(tmp_path / 'new/flight', min_free_bytes=1000, free=lambda path: left)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_in_flight_leaves_counts_of_what_was_written(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = BagWriter(tmp_path / 'flight', max_file_bytes=1)
    bag.add_topic('/a', NOTE, QOS)
    bag.write('/a', note(1), 1)
    monkeypatch.setattr(bag, '_open_file', no_space)
    with pytest.raises(OSError, match='No space'):
        bag.write('/a', note(2), 2)
    bag.close()
    reader = BagReader(tmp_path / 'flight')
    assert [m.decode().number for m in reader] == [1] and not reader.truncated
    assert 'message_count: 1' in (tmp_path / 'flight/metadata.yaml').read_text()


@pytest.mark.parametrize(('make', 'text'), [
    (lambda p: None, 'there is no bag'),
    (lambda p: p.mkdir(), r'holds no \.mcap and no \.db3 file$'),
    (lambda p: p.write_text('x'), 'is no MCAP file'),
])
def test_what_is_no_bag_is_refused(tmp_path: Path, make: Callable[..., Any], text: str) -> None:
    make(tmp_path / 'thing')
    with pytest.raises(BagError, match=text):
        BagReader(tmp_path / 'thing')


def test_an_existing_folder_is_never_written_over(tmp_path: Path) -> None:
    with pytest.raises(BagError, match='does not exist yet'):
        BagWriter(tmp_path)
