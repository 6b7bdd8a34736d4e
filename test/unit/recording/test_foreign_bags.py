"""Bags of other writers: what is read, what is left out by name, what is refused."""

import shutil
import sqlite3
import struct
import tracemalloc
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard
from unit.recording.definitions import NOTE, note

from offload_perception.errors import BagError
from offload_perception.recording import BagReader, BagWriter, MessageType, recover
from offload_perception.recording.definitions import comparable, difference, only_grew
from offload_perception.recording.message import Channel, offered

rosbag2 = pytest.importorskip('rosbags.rosbag2')
MCAP, SQLITE = rosbag2.StoragePlugin.MCAP, rosbag2.StoragePlugin.SQLITE3


def foreign(folder: Path, storage: Any, compression: str = 'NONE') -> Path:
    """Write five notes as rosbag2 would."""
    bag = rosbag2.Writer(folder, version=9, storage_plugin=storage)
    bag.set_compression(rosbag2.CompressionMode[compression], rosbag2.CompressionFormat.ZSTD)
    with bag:
        connection = bag.add_connection('/notes', NOTE.name, msgdef=NOTE.text, rihs01=NOTE.hash)
        for n in range(5):
            bag.write(connection, 1000 + n, note(n, b'x'))
    return folder


def numbers(path: Path) -> list[int]:
    return [m.decode().number for m in BagReader(path)]


@pytest.mark.parametrize('compression', ['NONE', 'FILE', 'MESSAGE', 'STORAGE'])
@pytest.mark.parametrize('storage', [MCAP, SQLITE])
def test_every_storage_and_compression_is_read_and_recovered(
        tmp_path: Path, storage: Any, compression: str) -> None:
    if storage is SQLITE and compression == 'STORAGE':
        pytest.skip('sqlite3 compresses nothing itself')
    reader = BagReader(foreign(tmp_path / 'bag', storage, compression))
    read = list(reader)
    assert [(m.topic, m.time_ns, m.decode().number) for m in read] == [
        ('/notes', 1000 + n, n) for n in range(5)]
    assert [m.data for m in read] == [note(n, b'x') for n in range(5)]
    assert read[0].type == (NOTE if storage is SQLITE else replace(NOTE, hash=''))
    assert not reader.notes
    assert recover(tmp_path / 'bag', tmp_path / 'copy') == 5
    assert [m.data for m in BagReader(tmp_path / 'copy')] == [m.data for m in read]
    with rosbag2.Reader(tmp_path / 'copy') as copy:  # which has no compression mode any more
        assert [bytes(data) for _, _, data in copy.messages()] == [m.data for m in read]


def test_the_list_of_files_counts_and_not_what_lies_beside_them(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/notes', NOTE, [])
        bag.write('/notes', note(1), 1)
    shutil.copy(tmp_path / 'bag/bag_0.mcap', tmp_path / 'bag/bag_0_recovered.mcap')
    reader = BagReader(tmp_path / 'bag')
    assert [m.decode().number for m in reader] == [1]
    assert reader.notes == ['bag_0_recovered.mcap is left out: a file that is not in '
                            'metadata.yaml']


def test_messages_that_are_compressed_one_by_one_are_known_without_metadata(
        tmp_path: Path) -> None:
    foreign(tmp_path / 'bag', MCAP, 'MESSAGE')
    (tmp_path / 'bag/metadata.yaml').unlink()  # as a killed recorder leaves it
    assert numbers(tmp_path / 'bag') == list(range(5))


def change(folder: Path, **values: Any) -> None:
    file = folder / 'metadata.yaml'
    content = yaml.safe_load(file.read_text())
    content['rosbag2_bagfile_information'].update(values)
    file.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(('values', 'text'), [
    ({'compression_mode': 'MESSAGE', 'compression_format': 'lz4'}, 'only zstd is known'),
    ({'compression_mode': 'sideways'}, "mode 'sideways'"),
    ({'storage_identifier': 'tape'}, r'storage tape; convert it with ros2 bag convert'),
    ({'relative_file_paths': ['/etc/passwd']}, 'passwd is missing'),
    ({'relative_file_paths': 7}, 'names no files'),
    ({'relative_file_paths': ['bag_0.mcap', 'bag_1.mcap']}, r'bag_1\.mcap is missing'),
    ({'relative_file_paths': ['a' * 300 + '.mcap']}, 'a.mcap is missing'),
    ({'relative_file_paths': ['a\0.mcap']}, 'is missing'),
    ({'relative_file_paths': ['..', '']}, 'is missing'),
])
def test_what_cannot_be_read_is_refused_with_a_remedy(tmp_path: Path, values: dict[str, Any],
                                                      text: str) -> None:
    with BagWriter(tmp_path / 'bag'):
        pass
    change(tmp_path / 'bag', **values)
    with pytest.raises(BagError, match=text):
        BagReader(tmp_path / 'bag')


@pytest.mark.parametrize('content', ['', '[', '{a: 1}', 'x: &a [*a]', '- ' * 3000, '2024-99-99'])
def test_metadata_that_is_none_is_an_error_of_ours(tmp_path: Path, content: str) -> None:
    (tmp_path / 'metadata.yaml').write_text(content)
    with pytest.raises(BagError, match='remove it to read the files of the folder'):
        BagReader(tmp_path)


def mcap_file(path: Path, channels: list[tuple[str, str, str, str, bytes]]) -> Path:
    """Write one message for each (topic, message encoding, schema name, schema encoding, data)."""
    from mcap.writer import Writer
    with path.open('wb') as stream:
        writer = Writer(stream)
        writer.start(profile='ros2')
        for topic, encoding, name, schema, data in channels:
            number = writer.register_schema(name, schema, NOTE.text.encode()) if name else 0
            channel = writer.register_channel(topic, encoding, number)
            writer.add_message(channel, log_time=1, publish_time=1, data=data)
        writer.finish()
    return path


def test_channels_that_are_none_of_ros_2_are_left_out_by_name(tmp_path: Path) -> None:
    reader = BagReader(mcap_file(tmp_path / 'mixed.mcap', [
        ('/json', 'json', 'x', 'jsonschema', b'{}'),
        ('/one', 'ros1', 'std_msgs/String', 'ros1msg', b'\1\0\0\0x'),
        ('/bare', 'cdr', '', '', note(1)),
        ('/proto', 'protobuf', 'x.Y', 'protobuf', b'x'),
        ('no topic\x1b[31m', 'cdr', NOTE.name, 'ros2msg', note(1)),
        ('/notes', 'cdr', NOTE.name, 'ros2msg', note(2))]))
    assert [m.decode().number for m in reader] == [2]
    assert reader.left_out == {
        '/json': "encoded as 'json', not as ROS 2's cdr",
        '/one': "encoded as 'ros1', not as ROS 2's cdr", '/bare': 'without a schema',
        '/proto': "encoded as 'protobuf', not as ROS 2's cdr",
        'no topic\\x1b[31m': 'whose name is no topic of ROS 2'}


def test_a_second_type_on_a_topic_is_left_out_and_named(tmp_path: Path) -> None:
    reader = BagReader(mcap_file(tmp_path / 'two.mcap', [
        ('/a', 'cdr', NOTE.name, 'ros2msg', note(1)),
        ('/a', 'cdr', 'demo_msgs/msg/Stamp', 'ros2msg', note(2))]))
    assert [m.type.name for m in reader] == [NOTE.name]
    assert 'demo_msgs/msg/Stamp' in reader.left_out['/a']


@pytest.mark.parametrize('data', [b'', b'{"a": 1}', zstandard.compress(b'garbage')])
def test_bytes_that_are_no_message_are_an_error(tmp_path: Path, data: bytes) -> None:
    file = mcap_file(tmp_path / 'bad.mcap', [('/a', 'cdr', NOTE.name, 'ros2msg', data)])
    with pytest.raises(BagError, match='/a: a message is neither CDR'):
        list(BagReader(file))


def database(folder: Path, change: str, *values: object) -> Path:
    """Return a bag in which that SQL has changed a row, whose columns take any value."""
    bag = foreign(folder / 'bag', SQLITE)
    with closing(sqlite3.connect(next(bag.glob('*.db3')))) as base, base:
        base.execute('PRAGMA writable_schema = 1')
        base.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '')")
    with closing(sqlite3.connect(next(bag.glob('*.db3')))) as base, base:
        base.execute(change, values)
    return bag


@pytest.mark.parametrize('value', [None, 7, 'text'])
def test_a_database_with_another_value_for_a_message_is_an_error(
        tmp_path: Path, value: int | str | None) -> None:
    bag = database(tmp_path, 'UPDATE messages SET data = ? WHERE id = 3', value)
    with pytest.raises(BagError, match='/notes: a message is neither CDR'):
        list(BagReader(bag))


@pytest.mark.parametrize('change', ['UPDATE messages SET timestamp = NULL WHERE id = 3',
                                    'UPDATE messages SET timestamp = "late" WHERE id = 3',
                                    'UPDATE topics SET name = NULL',
                                    'UPDATE topics SET type = NULL'])
def test_a_database_without_a_time_or_a_name_is_an_error(tmp_path: Path, change: str) -> None:
    with pytest.raises(BagError):
        list(BagReader(database(tmp_path, change)))


@pytest.mark.parametrize('changes', [
    ['DROP TABLE messages', 'CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL '
     'SELECT id FROM n) SELECT id, 1 AS topic_id, 5 AS timestamp, zeroblob(9) AS data FROM n'],
    ['ALTER TABLE messages DROP COLUMN data',
     'ALTER TABLE messages ADD COLUMN data BLOB AS (zeroblob(999999999))']])
def test_a_database_that_computes_its_messages_is_refused(tmp_path: Path,
                                                          changes: list[str]) -> None:
    bag = foreign(tmp_path / 'bag', SQLITE)
    with closing(sqlite3.connect(next(bag.glob('*.db3')))) as base, base:
        for change in changes:
            base.execute(change)
    with pytest.raises(BagError, match='computes its messages'):
        list(BagReader(bag))


def test_a_forged_size_takes_no_memory(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(300 << 20))
    file = mcap_file(tmp_path / 'bomb.mcap', [('/a', 'cdr', NOTE.name, 'ros2msg', bomb)])
    with pytest.raises(BagError, match='bytes are compressed in one piece'):
        list(BagReader(file))


def test_a_forged_size_within_a_record_takes_no_memory(tmp_path: Path) -> None:
    attachment = struct.pack('<BQQQIIQ', 9, 64, 0, 0, 0, 0, 1 << 40)
    file = tmp_path / 'bomb.mcap.zstd'
    file.write_bytes(zstandard.ZstdCompressor().compress(
        b'\x89MCAP0\r\n' + attachment + b'x' * (300 << 20)))
    tracemalloc.start()
    with pytest.raises(BagError, match=f'a part of a record of {1 << 40} bytes'):
        list(BagReader(file))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_qos_of_megabytes_is_not_read() -> None:
    assert offered('- {depth: 1}\n') == [{'depth': 1}]
    assert offered('- {depth: 1}\n' * 100_000) == []


def test_a_message_that_does_not_fit_its_definition_is_an_error_of_ours(tmp_path: Path) -> None:
    file = mcap_file(tmp_path / 'short.mcap',
                     [('/a', 'cdr', NOTE.name, 'ros2msg', note(1)[:9])])
    (m,) = BagReader(file)
    with pytest.raises(BagError, match='/a: a message does not fit the definition of'):
        m.decode()


def test_a_broken_definition_prints_nothing_but_our_error(
        capfd: pytest.CaptureFixture[str]) -> None:
    broken = Channel('/a', MessageType('a/msg/B', 'uint8T] \x1b[2J'), encoding='cdr', qos=[])
    with pytest.raises(BagError, match='does not fit the definition') as caught:
        broken.message(0, 0, note(1)).decode()
    assert str(caught.value).isprintable() and capfd.readouterr() == ('', '')


def test_a_damaged_length_in_a_whole_file_is_no_killed_recorder(tmp_path: Path) -> None:
    folder = foreign(tmp_path / 'bag', MCAP)
    (file,) = folder.glob('*.mcap')
    whole = bytearray(file.read_bytes())
    at = whole.index(note(3, b'x')) - 22 - 8  # the length of the record
    whole[at + 5] = 1
    file.write_bytes(whole)
    with pytest.raises(BagError, match='is broken'):
        list(BagReader(folder))


def test_types_are_compared_by_hash_or_else_by_definition() -> None:
    def kind(text: Any, digest: str = '') -> Any:
        return MessageType('a/msg/B', text, digest)

    spaced = kind('# says x\nuint32   x  # [m]\nstring s = "#"\n')
    assert not difference(spaced, kind('uint32 x\nstring s="#"'))
    assert not difference(kind("uint32 x  # the server's"), kind('uint32 x'))
    assert 'another definition of a/msg/B' in difference(spaced, kind('uint32 x'))
    assert 'another definition' in difference(spaced, kind('uint32 x\nstring s="#b"'))
    assert difference(kind('', 'RIHS01_1'), kind('', 'RIHS01_2'))
    assert not difference(kind('uint32 x', 'RIHS01_1'), kind('# renamed', 'RIHS01_1'))
    assert comparable(spaced, spaced) and not comparable(kind(''), spaced)


def test_a_type_that_only_grew_is_told_from_a_changed_one() -> None:
    def kind(text: str) -> Any:
        return MessageType('a/msg/B', text, '')

    def nested(fields: str) -> Any:
        return kind(f'Inner x\n{"=" * 80}\nMSG: a/Inner\n{fields}\n')

    assert only_grew(kind('uint32 x'), kind('uint32 x  # [m]\nfloat64 y'))
    assert only_grew(nested('uint32 x'), nested('uint32 x\nfloat64 y'))
    for before, now in ((kind('uint32 x'), kind('uint32 x')), (kind(''), kind('uint32 x')),
                        (kind('float32 x'), kind('float64 x\nfloat64 y')),
                        (kind('uint32 x\nuint32 y'), kind('uint32 x\nuint32 z\nuint32 w')),
                        (nested('uint32 x'), kind('Inner x\nuint32 x\nuint32 y'))):
        assert not only_grew(before, now)


def test_a_bag_that_is_being_recorded_is_not_called_killed(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / 'bag')
    bag.add_topic('/notes', NOTE, [])
    bag.write('/notes', note(1), 1)
    bag.flush()
    reader = BagReader(tmp_path / 'bag')
    assert [m.decode().number for m in reader] == [1]
    assert reader.growing == reader.files and not reader.truncated
    assert reader.notes == [f'{reader.files[0]} is still being recorded']
    bag.close()
    list(reader)
    assert not reader.growing and not reader.truncated
