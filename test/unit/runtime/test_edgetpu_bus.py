import os
import subprocess
import sys
from pathlib import Path

import pytest
from unit.runtime.stand_in import bus_with_stick

from offload_perception.errors import DeviceError
from offload_perception.runtime.edgetpu_bus import Bus
from offload_perception.runtime.edgetpu_refusal import check_attached


@pytest.mark.parametrize(('product', 'state'), [
    ('9302', 'initialised'), ('089a', 'firmware not loaded yet')])
def test_finds_a_usb_stick_in_both_states(tmp_path: Path, product: str, state: str) -> None:
    bus = bus_with_stick(tmp_path, product)
    (found,) = bus.attached()
    assert found.node == tmp_path / 'dev/bus/usb/002/003'
    assert found.what == f'USB Edge TPU at 2-1, {state}'


def test_finds_a_pcie_card(tmp_path: Path) -> None:
    (tmp_path / 'apex_0').touch()
    (found,) = Bus(tmp_path, tmp_path, tmp_path).attached()
    assert (found.node, found.what) == (tmp_path / 'apex_0', 'PCIe Edge TPU')


def test_another_usb_device_is_none(tmp_path: Path) -> None:
    bus = bus_with_stick(tmp_path)
    (tmp_path / 'sys/bus/usb/devices/2-1/idProduct').write_text('0001\n')
    assert bus.attached() == []
    with pytest.raises(DeviceError, match='no Edge TPU is attached'):
        check_attached(bus)


def test_a_hub_port_without_ids_is_none(tmp_path: Path) -> None:
    (tmp_path / 'bus/usb/devices/usb1').mkdir(parents=True)
    assert Bus(tmp_path, tmp_path, tmp_path).attached() == []


def test_this_process_is_not_a_holder(tmp_path: Path) -> None:
    bus = bus_with_stick(tmp_path)
    with open(bus.attached()[0].node) as node:
        me = tmp_path / 'proc' / str(os.getpid()) / 'fd'
        me.mkdir(parents=True)
        (me / '3').symlink_to(node.name)
        assert bus.holders(bus.attached()[0].node) == []


def test_a_holder_is_found_if_it_closes_other_descriptors_at_that_moment(tmp_path: Path) -> None:
    bus = bus_with_stick(tmp_path)
    node = bus.attached()[0].node
    descriptors = tmp_path / 'proc/1/fd'
    descriptors.mkdir(parents=True)
    (descriptors / '3').touch()  # as one that is gone, it cannot be read as a link
    (descriptors / '4').symlink_to(node)
    (descriptors / '5').touch()
    assert bus.holders(node) == ['process (1)']


def test_a_stick_that_is_unplugged_at_that_moment_is_none(tmp_path: Path) -> None:
    bus = bus_with_stick(tmp_path)
    (tmp_path / 'sys/bus/usb/devices/2-1/devnum').unlink()
    assert bus.attached() == []


def test_a_real_holder_is_found_in_the_real_proc(tmp_path: Path) -> None:
    node = tmp_path / 'node'
    node.touch()
    child = subprocess.Popen(
        [sys.executable, '-c', f'f = open({str(node)!r}); print(flush=True); input()'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert [h.endswith(f'({child.pid})') for h in Bus().holders(node)] == [True]
    finally:
        child.communicate(b'\n')
