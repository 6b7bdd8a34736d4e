"""Labels files as the users of Coral and Keras have them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import ModelError
from offload_perception.network.labels import read_labels


@pytest.mark.parametrize(('content', 'expected'), [
    (b'person\ncar\ntree\n', ('person', 'car', 'tree')),
    (b'\xef\xbb\xbfperson\r\ncar\r\ntree', ('person', 'car', 'tree')),
    (b'person\rcar\rtree', ('person', 'car', 'tree')),
    (b'\n person \n\n\ncar\ntree\n\n', ('person', 'car', 'tree')),
    ('\ufeffWeg\nHaus\nFl\u00fcsse\n'.encode('utf-16-le'), ('Weg', 'Haus', 'Fl\u00fcsse')),
    (b'0  person\n1  car\n2  tree\n', ('person', 'car', 'tree')),
    (b'2  tree\n0  person\n1  fire hydrant\n', ('person', 'fire hydrant', 'tree')),
    (b'0: person\n1:car\n2 : tree\n', ('person', 'car', 'tree')),
    (b'0,person\r\n2,tree\r\n', ('person', 'class 1', 'tree')),
    (b'0\tperson\n1\tcar\n2\ttree', ('person', 'car', 'tree')),
    (b'1 euro\n2 euro\n5 euro\n', ('1 euro', '2 euro', '5 euro')),
    (b'0\n1\n2\n', ('0', '1', '2')),
    (b'2 wheels\n4 wheels\ntracks\n', ('2 wheels', '4 wheels', 'tracks')),
])
def test_what_users_have(tmp_path: Path, content: bytes, expected: tuple[str, str, str]) -> None:
    (tmp_path / 'labels.txt').write_bytes(content)
    assert read_labels(tmp_path / 'labels.txt', 3) == expected


def test_line_ends_of_other_alphabets_do_not_split_a_label(tmp_path: Path) -> None:
    (tmp_path / 'labels.txt').write_bytes('a\u2028b\nc\x85d\n'.encode())
    assert len(read_labels(tmp_path / 'labels.txt', 2)) == 2


def test_a_terminal_escape_does_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / 'labels.txt').write_bytes(b'\x1b[2Jcar\n' + b'x' * 5000)
    car, long = read_labels(tmp_path / 'labels.txt', 2)
    assert '\x1b' not in car and len(long) == 200


@pytest.mark.parametrize(('content', 'message'), [
    (b'a\nb\n', 'has 2 lines, but the network has 3 classes'),
    (b'', 'has 0 lines'),
    (b'0 a\n0 b\n2 c\n', 'names class 0 more than once'),
    (b'0 a\n1 b\n', 'ends with class 1, but the network has 3 classes'),
    (b'\xff\xfea\x00b', 'cannot be read .*UTF-8'),
    (b'a\n\xff\n', 'cannot be read .*UTF-8'),
    (b'x' * 5_000_000, 'is it the right file'),
])
def test_what_cannot_be_labels(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / 'labels.txt').write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_labels(tmp_path / 'labels.txt', 3)


def test_a_number_that_is_there_twice_is_found_in_a_long_file(tmp_path: Path) -> None:
    """It was looked for from every number of the file: minutes for one of 2 MB."""
    lines = [f'{n} x\n' for n in (*range(60_000), *[60_000] * 200_000)]
    (tmp_path / 'labels.txt').write_text(''.join(lines))
    with pytest.raises(ModelError, match='names class 60000 more than once'):
        read_labels(tmp_path / 'labels.txt', None)


@given(st.one_of(st.binary(), st.text(st.sampled_from('012 :,\tab\n\r\u00fc')).map(str.encode)),
       st.none() | st.integers(1, 4))
def test_any_file_is_labels_that_print_or_refused(tmp_path_factory: pytest.TempPathFactory,
                                                  content: bytes, classes: int | None) -> None:
    file = tmp_path_factory.mktemp('l') / 'labels.txt'
    file.write_bytes(content)
    try:
        found = read_labels(file, classes)
    except ModelError:
        return
    assert all(label.isprintable() for label in found)
    assert classes in (None, len(found))
