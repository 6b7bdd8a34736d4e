"""Keep going when the accelerator drops out, and come back to it when it is there again."""

import logging
from collections.abc import Callable, Sequence
from threading import Lock, local

from offload_perception.errors import DeviceError, OffloadError
from offload_perception.runtime.loaded_network import LayersTime, LoadedNetwork
from offload_perception.tensor import Tensors
from offload_perception.threads import FOREVER, Worker

CLOSE_S = 0.5  # for a current attempt to open
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)

log = logging.getLogger(__name__)


class Failover(LoadedNetwork):
    """A network on an accelerator, with one on the CPU as fallback if `spare` is given.

    The frame on which the accelerator fails is run again on the spare; without one, that frame
    and all until the accelerator is back raise DeviceError at once. The accelerator is
    reopened in the background, with growing pauses. `on_change` is called with each change, in
    words.

    `open_device` opens and warms up the accelerator's network.
    """

    def __init__(self, open_device: Callable[[], LoadedNetwork],
                 spare: LoadedNetwork | None = None, *,
                 back_off_s: Sequence[float] = BACK_OFF_S,
                 on_change: Callable[[str], None] = log.warning) -> None:
        self._open, self._spare, self._on_change = open_device, spare, on_change
        self._back_off_s = back_off_s
        self._lock, self._closed, self._attempts = Lock(), False, 0
        self._reopener: Worker | None = None
        self._device: LoadedNetwork | None = open_device()
        self._mine = local()
        self.artefact, self.choice = self._device.artefact, self._device.choice
        self._lost = ''

    @property
    def on_device(self) -> bool:
        """Return whether the accelerator is in use now."""
        return self._device is not None

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        """Run layers `first` to `last`; see `Network.run`."""
        device = self._device
        if device is not None:
            try:
                self._mine.ran = device
                return device.run(first, last, xs)
            except DeviceError as e:
                self._take_over(device, e)
        if self._spare is None:
            raise DeviceError(self._lost)
        self._mine.ran = self._spare
        return self._spare.run(first, last, xs)

    @property
    def times(self) -> tuple[LayersTime, ...]:
        """Return the times of this thread's last run, on either network."""
        ran = getattr(self._mine, 'ran', None)
        return ran.times if ran else ()

    def prepare(self, cut: int) -> None:
        """Prepare the spare too, so that a drop-out costs as little as it can."""
        for network in (self._device, self._spare):
            if network is not None:
                network.prepare(cut)

    def warm_up(self, runs: int = 2) -> None:
        """Warm up the spare; the accelerator was warmed up when it was opened."""
        if self._spare is not None:
            self._spare.warm_up(runs)

    @property
    def trouble(self) -> str:
        """Return what happened to the accelerator, if it is not in use now."""
        if self.on_device:
            return ''
        return self._lost + ('; the CPU is used until it is back' if self._spare
                             else '; there is no CPU fallback')

    @property
    def doubt(self) -> str:
        """Return that of the network in use."""
        network = self._device or self._spare
        return network.doubt if network else ''

    def describe(self) -> str:
        """Return the one line for the log."""
        device = self._device
        if device is not None:
            return device.describe()
        return self.trouble + (f': {self._spare.describe()}' if self._spare else '')

    def close(self) -> None:
        """Stop trying, and release both networks; a current attempt to open is not waited for."""
        with self._lock:
            self._closed = True
        if self._reopener:
            self._reopener.stop(CLOSE_S)
        for network in (self._device, self._spare):
            if network is not None:
                network.close()

    def _take_over(self, device: LoadedNetwork, error: DeviceError) -> None:
        with self._lock:
            if self._device is not device:  # another thread was first
                return
            self._device, self._lost = None, str(error)
        device.close()
        self._on_change(f'{error}; ' + ('the CPU takes over' if self._spare else
                                        'frames are dropped until it is back'))
        with self._lock:
            if not self._closed:
                self._attempts = 0
                self._reopener = Worker('reopen edgetpu', self._reopen, patience=FOREVER)
                self._reopener.start()

    def _reopen(self) -> bool:
        """Try once to open the accelerator, after a pause; return whether to go on trying."""
        reopener = self._reopener
        assert reopener is not None  # it calls this
        pause_s = self._back_off_s[min(self._attempts, len(self._back_off_s) - 1)]
        self._attempts += 1
        if reopener.stopping.wait(pause_s):
            return False
        try:
            device = self._open()
        except (OffloadError, OSError) as e:
            self._lost = str(e)
            return True
        with self._lock:
            if not self._closed:
                self._device = device
        if self._device is not device:
            device.close()
            return False
        self._on_change('the Edge TPU is back')
        return False
