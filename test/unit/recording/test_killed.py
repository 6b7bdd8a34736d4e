"""The bag of a killed recorder."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from unit.damage import edited, edits
from unit.recording.definitions import NOTE, note

from offload_perception.errors import BagError
from offload_perception.recording import BagReader, BagWriter, recover

WRITE_FOR_EVER = """
import sys
sys.path[:0] = sys.argv[2:]
from unit.recording.definitions import NOTE, note
from offload_perception.recording import BagWriter
bag = BagWriter(sys.argv[1])
bag.add_topic('/notes', NOTE, [])
n = 0
while True:
    for _ in range(100):
        bag.write('/notes', note(n, bytes(50)), n)
        n += 1
    bag.flush()
    print(n, flush=True)
"""


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, int]:
    """A bag whose writer got kill -9, and how many messages were flushed by then."""
    process = subprocess.Popen([sys.executable, '-c', WRITE_FOR_EVER, tmp_path / 'flight',
                                *sys.path], stdout=subprocess.PIPE, text=True)
    flushed = [int(process.stdout.readline()) for _ in range(5)][-1]
    process.kill()
    process.communicate()
    return tmp_path / 'flight', flushed


def numbers(bag: BagReader) -> list[int]:
    return [m.decode().number for m in bag]


def test_everything_that_was_flushed_is_read(killed: tuple[Path, int]) -> None:
    folder, flushed = killed
    reader = BagReader(folder)
    read = numbers(reader)
    assert len(read) >= flushed and read == list(range(len(read)))
    assert reader.truncated == reader.files


def test_a_recovered_bag_is_whole(killed: tuple[Path, int], tmp_path: Path) -> None:
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    folder, _ = killed
    count = recover(folder, tmp_path / 'whole')
    reader = BagReader(tmp_path / 'whole')
    assert numbers(reader) == numbers(BagReader(folder)) == list(range(count))
    assert not reader.truncated
    with rosbag2.Reader(tmp_path / 'whole') as bag:
        assert bag.message_count == count


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a whole file, uncompressed, with 30 messages."""
    folder = tmp_path_factory.mktemp('whole') / 'flight'
    with BagWriter(folder, compress=False) as bag:
        bag.add_topic('/notes', NOTE, [])
        for n in range(30):
            bag.write('/notes', note(n, bytes(20)), n)
            if n % 10 == 9:
                bag.flush()
    return (folder / 'flight_0.mcap').read_bytes()


def test_a_file_cut_anywhere_yields_only_whole_messages(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / 'part.mcap'
    counts = set()
    for end in range(8, len(whole) - 1, 7):
        file.write_bytes(whole[:end])
        reader = BagReader(file)
        read = numbers(reader)
        assert read == list(range(len(read))) and reader.truncated == [file]
        counts.add(len(read))
    assert counts == {0, 10, 20, 30}


def test_zeros_at_the_end_as_after_a_power_cut_do_not_hide_the_rest(
        whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / 'zeros.mcap'
    counts = set()
    for end in range(8, whole.index(note(29, bytes(20))), 7):
        file.write_bytes(whole[:end] + bytes(4096))
        reader = BagReader(file)
        read = numbers(reader)
        assert read == list(range(len(read))) and reader.truncated == [file]
        counts.add(len(read))
    assert counts == {0, 10, 20}


def test_a_flipped_byte_is_an_error_not_a_wrong_message(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / 'flipped.mcap'
    at = whole.index(note(5, bytes(20))) + 14
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
    with pytest.raises(BagError, match='is broken'):
        numbers(BagReader(file))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_no_damage_gives_another_error_than_ours(whole: bytes, tmp_path: Path,
                                                 changes: list[tuple[float, int, bytes]]) -> None:
    file = tmp_path / 'damaged.mcap'
    file.write_bytes(edited(whole, changes))
    with suppress(BagError):
        for m in BagReader(file):
            m.decode()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_no_metadata_gives_another_error_than_ours(
        tmp_path: Path, changes: list[tuple[float, int, bytes]]) -> None:
    if not (tmp_path / 'flight').exists():
        with BagWriter(tmp_path / 'flight') as bag:
            bag.add_topic('/notes', NOTE, [])
        (tmp_path / 'metadata.yaml').write_bytes((tmp_path / 'flight/metadata.yaml').read_bytes())
    (tmp_path / 'flight/metadata.yaml').write_bytes(
        edited((tmp_path / 'metadata.yaml').read_bytes(), changes))
    with suppress(BagError):
        list(BagReader(tmp_path / 'flight'))
