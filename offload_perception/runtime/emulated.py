"""Run a network as slowly as another computer would, and say so."""

import time
from collections.abc import Callable
from math import inf, isfinite, nan
from threading import Lock, local

from offload_perception.errors import DeviceError
from offload_perception.profiles.device_profile import DeviceProfile
from offload_perception.runtime.loaded_network import LayersTime, LoadedNetwork
from offload_perception.tensor import Tensors
from offload_perception.threads import Worker

_LONGEST_OUT_S = 10.0
_BURST_S = 0.1  # in which the energy per byte is drawn: how fast the link is, is not known here


def _later(seconds: float, call: Callable[[], None]) -> None:
    def step() -> None:
        time.sleep(seconds)
        call()

    Worker('emulated radio', step).start()


class EmulatedNetwork(LoadedNetwork):
    """Paces a network on this computer by the profile of another; results stay the same.

    A computer that is slower than the profile cannot be paced up: then the times are its own.
    `on_power` is called with the emulated power above idle [W] when layers start and end, and when
    that of the radio changes (`sent`, `ended`, and its tail); with NaN at the end of the
    emulation. Every `LayersTime` names the emulated device.
    """

    def __init__(self, network: LoadedNetwork, profile: DeviceProfile,
                 on_power: Callable[[float], None], *,
                 clock: Callable[[], float] = time.monotonic,
                 wait: Callable[[float], None] = time.sleep,
                 later: Callable[[float, Callable[[], None]], None] = _later) -> None:
        self._network, self.profile, self._on_power = network, profile, on_power
        self._clock, self._wait, self._later, self._mine = clock, wait, later, local()
        self.artefact, self.choice = network.artefact, network.choice
        self._lock, self._layers_w = Lock(), 0.0
        self._out: dict[int, float] = {}  # frames on the air, and since when
        self._bursts: list[tuple[float, float]] = []  # until when, and how many W
        self._tail_end_s, self._closed = -inf, False
        on_power(0.0)

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        """Run layers `first` to `last`; see `Network.run`.

        :raises DeviceError: if they do not fit into the emulated computer.
        """
        seconds, joules = self._cost(first, last)
        started = self._clock()
        self._draw(joules / seconds if seconds > 0.0 else 0.0)
        try:
            ys = self._network.run(first, last, xs)
            self._wait(max(started + seconds - self._clock(), 0.0))
        finally:
            self._draw(0.0)
        self._mine.times = (LayersTime(first, last, self._clock() - started, self._network.ran,
                                     self.emulated),)
        return ys

    def sent(self, number: int, nbytes: int) -> None:
        """Note that a frame is sent: the radio draws power from now on until the frame's end.

        What it draws for each byte is drawn at once.
        """
        with self._lock:
            now_s = self._clock()
            self._out[number] = now_s
            if burst_w := self.profile.radio.j_per_byte * nbytes / _BURST_S:
                self._bursts.append((now_s + _BURST_S, burst_w))
                self._later(_BURST_S, self._update)
            self._tell()

    def ended(self, number: int) -> None:
        """Note the end of a frame, whether it was sent or not."""
        with self._lock:
            if self._out.pop(number, None) is not None:
                if tail_s := self.profile.radio.tail_s:
                    self._tail_end_s = self._clock() + tail_s
                    self._later(tail_s, self._update)
                self._tell()

    def _update(self) -> None:
        with self._lock:
            self._tell()

    def _draw(self, layers_w: float) -> None:
        with self._lock:
            self._layers_w = layers_w
            self._tell()

    def _tell(self) -> None:
        if self._closed:
            return
        now_s, radio = self._clock(), self.profile.radio
        oldest_s = now_s - _LONGEST_OUT_S  # a frame that ended while it was being sent
        self._out = {n: t for n, t in self._out.items() if t >= oldest_s}
        self._bursts = [(end_s, w) for end_s, w in self._bursts if end_s > now_s]
        on_w = (radio.sending_w if self._out else
                radio.tail_w if now_s < self._tail_end_s else 0.0)
        self._on_power(self._layers_w + on_w + sum(w for _, w in self._bursts))

    def _cost(self, first: int, last: int) -> tuple[float, float]:
        p = self.profile
        if not p.fits[last] or not isfinite(p.head_s[last]):
            raise DeviceError(f'layer {last} does not fit into an emulated {p.device}; cut '
                              'before it')
        return (max(float(p.head_s[last] - p.head_s[first - 1]), 0.0),
                max(float(p.head_j[last] - p.head_j[first - 1]), 0.0))

    @property
    def times(self) -> tuple[LayersTime, ...]:
        """Return the times of this thread's last run."""
        return getattr(self._mine, 'times', ())

    @property
    def emulated(self) -> str:
        """Return the name of the emulated computer, as devices are named."""
        return f'emulated {self.profile.name}'

    @property
    def trouble(self) -> str:
        """Return that of the emulated network."""
        return self._network.trouble

    @property
    def doubt(self) -> str:
        """Return that of the emulated network."""
        return self._network.doubt

    def describe(self) -> str:
        """Return the one line for the log."""
        return (f'EMULATED {self.profile.device}, paced by profile {self.profile.name} '
                f'({self.profile.origin}); {self._network.describe()}')

    def prepare(self, cut: int) -> None:
        """Prepare the emulated network."""
        self._network.prepare(cut)

    def warm_up(self, runs: int = 2) -> None:
        """Warm up the emulated network, at its own speed."""
        self._network.warm_up(runs)

    def close(self) -> None:
        """End the emulation and release the network."""
        with self._lock:
            self._closed = True
            self._on_power(nan)
        self._network.close()
