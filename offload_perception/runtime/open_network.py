"""Open a prepared model on the device that the user wants, or say why that cannot be."""

from collections.abc import Callable
from dataclasses import replace

from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.edgetpu import EdgeTpuNetwork
from offload_perception.runtime.edgetpu_bus import Bus
from offload_perception.runtime.edgetpu_plan import LIBRARY
from offload_perception.runtime.failover import Failover, log
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.runtime.select import NO_EDGE_TPU, PYCORAL, Choice, edgetpu_choice, resolve


def open_network(artefact: Artefact, device: str = 'auto', runtime: str = 'auto',
                 threads: int = 2, *, edgetpu_devices: str = '',
                 edgetpu_performance: str = 'default', library: str = LIBRARY,
                 bus: Bus | None = None, run_timeout_s: float = 5.0,
                 on_change: Callable[[str], None] = log.warning) -> LoadedNetwork:
    """Return the model, warmed up, on the device that is resolved here once.

    `device` is `cpu`; `edgetpu`, which refuses if the Edge TPU cannot be had; or `auto`,
    which then takes the CPU and says so in `choice.fallback`. `edgetpu_devices` are device
    strings of libedgetpu, `edgetpu_performance` its clock (see `make_plan`). Under `auto` the
    CPU is also used while a stick is away. `on_change` is called with every drop-out and return.

    :raises DeviceError: if device is `edgetpu` and it cannot be had, with the remedy.
    :raises ConfigError: for names that do not exist.
    :raises RuntimeUnavailableError: if the runtime is not installed.
    """
    on_cpu = 'auto' if runtime == PYCORAL and device != 'cpu' else runtime
    cpu = resolve('cpu' if device == 'edgetpu' else device, on_cpu)
    if device == 'cpu':
        return _chain(artefact, cpu, threads)

    def open_device() -> LoadedNetwork:
        network = EdgeTpuNetwork(
            artefact, edgetpu_choice(runtime), edgetpu_devices, threads=threads, library=library,
            performance=edgetpu_performance, bus=bus, run_timeout_s=run_timeout_s)
        network.warm_up()
        return network

    if device == 'edgetpu':
        return Failover(open_device, on_change=on_change)
    spare = _chain(artefact, cpu, threads)
    try:
        return Failover(open_device, spare, on_change=on_change)
    except (RuntimeUnavailableError, ModelError) as e:
        spare.choice = replace(cpu, fallback=f'{NO_EDGE_TPU}: {e}')
        return spare


def _chain(artefact: Artefact, choice: Choice, threads: int) -> Chain:
    chain = Chain(artefact, choice, threads)
    chain.warm_up()
    return chain
