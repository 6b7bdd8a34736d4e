"""A first profile of this computer, from the warm-up runs of the network that it has loaded."""

from statistics import median
from typing import Any

import numpy as np

from offload_perception.edgetpu.mapping import CompileReport
from offload_perception.network.shape import NetworkShape
from offload_perception.profiles.device_profile import CutCost, DeviceProfile, Radio, load
from offload_perception.runtime.loaded_network import LoadedNetwork

POWER_OF = 'raspberry_pi_3b_plus'
_RUNS = 5


def measure(network: LoadedNetwork, shape: NetworkShape, *, runtime: str, device: str,
            active_w: float, sending_w: float,
            compiled: CompileReport | None = None) -> DeviceProfile:
    """Return the time of every head, median of a few runs; energies follow from the powers.

    It serves until `characterize` has measured the computer with a power meter.

    :param active_w: power above idle while layers run; below 0 takes that of `POWER_OF`.
    :param sending_w: power above idle while the radio sends; below 0 takes that of `POWER_OF`.
    :param compiled: where the parameters of each head lie on an Edge TPU.
    """
    runs = np.array([_head_times(network, shape.last) for _ in range(_RUNS)])
    head_s = [0.0, *(median(column) for column in runs.T)]
    spread_s = [0.0, *(float(np.std(column)) for column in runs.T)]
    stand_in = load(POWER_OF)
    radio = Radio(sending_w, 0.0, 'as configured') if sending_w >= 0 else stand_in.radio
    return DeviceProfile(
        name='quick', model=shape.name, digest=shape.digest, device=device, runtime=runtime,
        origin='timed at start-up; energies derived from powers, not metered',
        source=f'powers of {POWER_OF} unless configured', measured=False,
        emulated=False, idle_w=stand_in.idle_w,
        active_w=active_w if active_w >= 0 else stand_in.active_w, radio=radio,
        cuts=tuple(CutCost(name, float(s), float(d), **_memory(compiled, cut))
                   for cut, (name, s, d) in enumerate(
                       zip(shape.names, head_s, spread_s, strict=True))))


def _memory(compiled: CompileReport | None, cut: int) -> dict[str, Any]:
    """Return the bytes of a head's parameters on and off the chip, if they are known."""
    if compiled is None:
        return {}
    cached = sum(layer.on_chip_bytes or 0 for layer in compiled.layers[:cut])
    return {'on_chip_bytes': float(cached), 'off_chip_bytes': float(compiled.streamed_bytes(cut))}


def _head_times(network: LoadedNetwork, last: int) -> list[float]:
    """Return the seconds up to each layer in one warm-up run."""
    network.warm_up(1)
    at_s, ends = 0.0, {}
    for time in network.times:
        at_s += time.seconds
        ends[time.last] = at_s
    known = [0, *sorted(ends)]
    return list(np.interp(range(1, last + 1), known, [0.0, *(ends[k] for k in known[1:])]))
