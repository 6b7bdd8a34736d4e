from pathlib import Path

import pytest
from unit.recording.definitions import NOTE

from offload_perception.errors import BagError
from offload_perception.recording.definitions import installed_type


def test_a_definition_brings_all_that_it_depends_on() -> None:
    rule = '=' * 80
    assert NOTE.text == (
        'Stamp at  # when\nuint32 number\nuint8[] data\nstring WHO="me"\n'
        f'{rule}\nMSG: demo_msgs/Stamp\nbuiltin_interfaces/Time time\n'
        f'{rule}\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n')


def test_an_installed_type_comes_with_its_hash(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / 'share/far_msgs/msg'
    folder.mkdir(parents=True)
    (folder / 'Ping.msg').write_text('bool ok\n')
    (folder / 'Ping.json').write_text(
        '{"type_hashes": [{"type_name": "far_msgs/msg/Ping", "hash_string": "RIHS01_1"}]}')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere:{tmp_path}')
    kind = installed_type('far_msgs/msg/Ping')
    assert (kind.text, kind.hash) == ('bool ok\n', 'RIHS01_1')


def test_a_type_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    with pytest.raises(BagError, match=r'lost_msgs/msg/Thing.*install the package lost_msgs'):
        installed_type('lost_msgs/msg/Thing')
