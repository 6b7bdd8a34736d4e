"""Opening: each cause of failure is named with its remedy."""

import errno
import grp
from pathlib import Path
from typing import Any

import pytest
import serial

from offload_perception.errors import MeterError
from offload_perception.power.drivers import port as port_module
from offload_perception.power.drivers.port import open_port
from offload_perception.power.emulation.pty_port import PtyPort


def test_missing_port_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r'rfcomm9.*no such port.*rfcomm bind.*ports here'):
        open_port(str(tmp_path / 'rfcomm9'))


def test_regular_file(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(MeterError, match='not a serial port'):
        open_port(str(tmp_path / 'file'))


def test_busy_port() -> None:
    pty = PtyPort()
    try:
        with open_port(pty.path), pytest.raises(MeterError, match='busy'):
            open_port(pty.path)
    finally:
        pty.unplug()


@pytest.mark.parametrize(('code', 'words'), [
    (errno.EACCES, 'usermod -aG dialout'),
    (errno.EBUSY, 'Bluetooth applet'),
    (errno.EHOSTDOWN, 'powered and in range'),
    (errno.ECONNREFUSED, 'pair it again'),
    (errno.ENODEV, 'check cable'),
])
def test_causes_that_the_system_names(monkeypatch: pytest.MonkeyPatch, code: int,
                                      words: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise serial.SerialException(code, 'no')

    monkeypatch.setattr(serial, 'Serial', fail)
    with pytest.raises(MeterError, match=words):
        open_port('/nowhere/rfcomm0')


def test_group_of_the_port_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / 'port').write_text('')
    monkeypatch.setattr(grp, 'getgrgid', lambda _: type('G', (), {'gr_name': 'uucp'}))
    assert 'usermod -aG uucp' in port_module._remedy(
        str(tmp_path / 'port'), OSError(errno.EACCES, ''))
