import errno
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.power.drivers.power_meter import LinkLost, PollError, ReadingRefused
from offload_perception.power.drivers.sysfs import folders, read_integer, read_name, read_text


@given(data=st.one_of(st.binary(max_size=60), st.integers().map(lambda n: b'%d\n' % n),
                      st.text('+-0123456789 \n.e', max_size=25).map(str.encode)))
def test_whatever_a_file_holds_is_a_number_in_range_or_refused(
        data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp('sys') / 'in1_input'
    file.write_bytes(data)
    try:
        value = read_integer(file, -1000, 1000)
    except PollError as e:
        assert 'in1_input' in str(e) and str(e).isprintable()
    else:
        assert -1000 <= value <= 1000 and int(data) == value


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / 'name').write_text('x' * 10**6)
    assert len(read_text(tmp_path / 'name')) == 4096
    assert len(read_name(tmp_path / 'name')) == 200


@pytest.mark.parametrize('data', ['', 'nan', '1.5', '5V', '1e3', '9' * 20, '\x1b[2J'])
def test_no_integer(data: str, tmp_path: Path) -> None:
    (tmp_path / 'f').write_text(data)
    with pytest.raises(ReadingRefused, match='f holds no integer'):
        read_integer(tmp_path / 'f', 0, 10)


@pytest.mark.parametrize(('number', 'words'), [
    (errno.EACCES, r'no permission.*sudo chmod a\+r .*/energy_uj'), (errno.ENODEV, 'is gone'),
    (errno.ENODATA, 'enabled'), (errno.EIO, 'Input/output error')])
def test_what_cannot_be_read_says_why(number: int, words: str, tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, 'Input/output error')
    monkeypatch.setattr(Path, 'open', fail)
    with pytest.raises(LinkLost, match=words):
        read_text(tmp_path / 'energy_uj')


def test_folders_come_by_their_numbers(tmp_path: Path) -> None:
    for name in ('hwmon10', 'hwmon2', 'hwmon0'):
        (tmp_path / name).mkdir()
    assert [f.name for f in folders(tmp_path)] == ['hwmon0', 'hwmon2', 'hwmon10']
    assert folders(tmp_path / 'nothing') == []
