from threading import Barrier, Event, Thread
from typing import Any, cast

import numpy as np
import pytest

from offload_perception.errors import DeviceError
from offload_perception.runtime import failover
from offload_perception.runtime.failover import Failover
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.tensor import Tensors

ZERO = (np.zeros(()),)


class Device:
    """A network that fails while `broken`, once all of `together` are in it."""

    artefact = choice = None
    times = ()

    def __init__(self, together: int = 1) -> None:
        self.broken, self.closed, self._barrier = False, 0, Barrier(together)

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        if self.broken:
            self._barrier.wait(10)
            raise DeviceError('gone')
        return (xs[0] + 1,)

    def close(self) -> None:
        self.closed += 1


class Spare(Device):
    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        return (xs[0] + 2,)


def spare() -> LoadedNetwork:
    return cast(LoadedNetwork, Spare())


def test_two_threads_that_lose_the_device_at_once_lose_it_once() -> None:
    device, told, opened = Device(together=2), [], []

    def open_device() -> Any:
        opened.append(1)
        if len(opened) > 1:
            raise DeviceError('still gone')
        return device

    network = Failover(open_device, spare(), on_change=told.append, back_off_s=(60.0,))
    device.broken, results = True, []
    threads = [Thread(target=lambda: results.append(network.run(1, 1, ZERO)[0]))
               for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [2.0, 2.0]
    assert (len(told), device.closed) == (1, 1)
    network.close()


def test_pauses_grow_while_the_device_stays_away() -> None:
    pauses, again = [], Event()
    device, opened = Device(), []

    def open_device() -> Any:
        opened.append(1)
        if 1 < len(opened) < 6:
            raise DeviceError('still gone')
        if len(opened) == 6:
            again.set()
        return device if len(opened) == 1 else Device()

    class Pauses(list[float]):
        def __getitem__(self, index: Any) -> Any:
            pauses.append(list.__getitem__(self, index))
            return 0.0

    network = Failover(open_device, spare(), on_change=lambda text: None,
                       back_off_s=Pauses([1, 2, 3]))
    device.broken = True
    assert network.run(1, 1, ZERO)[0] == 2.0
    assert again.wait(10)
    network.close()
    assert pauses == [1, 2, 3, 3, 3]


def test_what_is_wrong_at_the_start_is_not_hidden() -> None:
    def open_device() -> LoadedNetwork:
        raise DeviceError('none attached')

    with pytest.raises(DeviceError, match='none attached'):
        Failover(open_device, spare())


def test_the_newest_reason_is_reported_while_frames_are_dropped() -> None:
    device = Device()
    network = Failover(lambda: cast(LoadedNetwork, device), on_change=lambda text: None,
                       back_off_s=(60.0,))
    device.broken = True
    with pytest.raises(DeviceError, match='gone'):
        network.run(1, 1, ZERO)
    assert network.describe() == 'gone; there is no CPU fallback'
    assert not network.on_device
    network.close()


@pytest.mark.parametrize('error', [OSError('no such device'), RuntimeError('a bug')])
def test_whatever_opening_raises_the_next_attempt_is_made(error: Exception) -> None:
    device, back, results = Device(), Event(), iter([None, error, error, None])

    def open_device() -> Any:
        result = next(results)
        if result:
            raise result
        return device if device.closed == 0 else Device()

    def tell(text: str) -> None:
        if 'back' in text:
            back.set()

    network = Failover(open_device, spare(), back_off_s=(0.0,), on_change=tell)
    device.broken = True
    assert network.run(1, 1, ZERO)[0] == 2.0
    assert back.wait(10) and network.on_device
    network.close()


def test_closing_does_not_wait_for_an_opening_and_what_it_opens_is_closed(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, 'CLOSE_S', 0.01)
    device, late, opening, gate = Device(), Device(), Event(), Event()

    def open_device() -> Any:
        if not device.broken:
            return device
        opening.set()
        gate.wait(10)
        return late

    network = Failover(open_device, spare(), on_change=lambda text: None, back_off_s=(0.0,))
    device.broken = True
    network.run(1, 1, ZERO)
    assert opening.wait(10)
    network.close()
    gate.set()
    assert network._reopener.stop(10)
    assert late.closed == 1 and not network.on_device
