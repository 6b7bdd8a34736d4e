"""A prepared model on one or several Edge TPUs."""

from math import isnan
from threading import Lock, local

import numpy as np

from offload_perception.network.artefact import Artefact
from offload_perception.runtime.edgetpu_bus import Bus
from offload_perception.runtime.edgetpu_plan import (
    LIBRARY,
    cpu_runtime,
    make_plan,
    share_off_device,
)
from offload_perception.runtime.edgetpu_process import EdgeTpuProcess
from offload_perception.runtime.edgetpu_refusal import check_attached, computes_otherwise
from offload_perception.runtime.golden import Held, golden_run, load_golden
from offload_perception.runtime.loaded_network import LayersTime, LoadedNetwork
from offload_perception.runtime.select import Choice
from offload_perception.runtime.steps import crossing, known_before
from offload_perception.tensor import Tensors


class EdgeTpuNetwork(LoadedNetwork):
    """The compiled segments of an artefact, in a process of their own.

    Layers that are not compiled run on that process's CPU; `off_device` is the share of the
    multiply-adds that do. After a DeviceError the object cannot be used again.

    :raises DeviceError: if no segment is compiled, or the device cannot be had.
    """

    def __init__(self, artefact: Artefact, choice: Choice, devices: str = '', *, threads: int = 2,
                 library: str = LIBRARY, performance: str = 'default', bus: Bus | None = None,
                 load_timeout_s: float = 60.0,
                 run_timeout_s: float = 5.0) -> None:
        self.artefact, self.choice = artefact, choice
        check_attached(bus or Bus())
        self._plan = make_plan(artefact, devices, runtime=choice.runtime, threads=threads,
                               library=library, performance=performance)
        self.off_device = share_off_device(artefact, self._plan)
        self._lock, self._mine, self._load_timeout_s = Lock(), local(), load_timeout_s
        self._held: Held | None = None
        self._process = EdgeTpuProcess(self._plan, load_timeout_s=load_timeout_s,
                                       run_timeout_s=run_timeout_s, bus=bus)

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        """Run layers `first` to `last`; see `Network.run`."""
        self.check(first, last, xs)
        if first > last:
            self._mine.times = ()
            return tuple(x.copy() for x in xs)
        return self._run(first, last, xs)

    def _run(self, first: int, last: int, xs: Tensors,
             timeout_s: float | None = None) -> Tensors:
        known = known_before(self.artefact, first - 1, xs)
        with self._lock:
            ys, seconds = self._process.run(first, last, tuple(known.values()), timeout_s)
            self._mine.times = tuple(
                LayersTime(k, k, s, self._runtime(k), self._device(k))
                for k, s in enumerate(seconds, first))
            return crossing(self.artefact, last, ys, first - 1, xs)

    @property
    def times(self) -> tuple[LayersTime, ...]:
        """Return the times inside the device's process, without the transfer to it."""
        return getattr(self._mine, 'times', ())

    def prepare(self, cut: int) -> None:
        """Do nothing: segments are merged by the Edge TPU compiler or not at all."""
        self.artefact.cut(cut)

    def warm_up(self, runs: int = 2) -> None:
        """Run every segment: the first run uploads the parameters, so it may take its time.

        :raises DeviceError: if the results are not close to those when the model was prepared.
        """
        spec = self.artefact.input
        for _ in range(runs):
            self._run(1, self.artefact.last, (np.zeros(spec.shape, spec.dtype),),
                      self._load_timeout_s)
        if self._held is None:
            self._held = Held(self.artefact, load_golden(self.artefact),
                              golden_run(self.artefact, self._run))
        if not self._held.close:
            self.close()
            raise computes_otherwise(self.artefact.name, self._held.worst)

    def describe(self) -> str:
        """Return the one line for the log: devices and the share that is not on them."""
        names = ', '.join(dict.fromkeys(
            self._device(k) for k, load in enumerate(self._plan.loads, 1)
            if load.device is not None))
        share = ('an unknown share (pip install ai-edge-litert to read the files)'
                 if isnan(self.off_device) else f'{self.off_device:.1%}')
        held = f' golden run: {self._held};' if self._held else ''
        return (f'{self.artefact.name}: {self.choice};{held} segments on {names}; '
                f'{share} of the multiply-adds off the accelerator')

    def close(self) -> None:
        """End the device's process."""
        self._process.close()

    def _runtime(self, k: int) -> str:
        runtime = self.choice.runtime
        return cpu_runtime(runtime) if self._plan.loads[k - 1].device is None else runtime

    def _device(self, k: int) -> str:
        device = self._plan.loads[k - 1].device
        return 'cpu' if device is None else f'edgetpu {device}'.strip()
