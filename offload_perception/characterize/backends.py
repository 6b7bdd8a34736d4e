"""What the prefixes can run on, and the job that runs one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from offload_perception.characterize.job import Job
from offload_perception.characterize.prefix import FloatPrefixes, OwnPrefixes, write_float
from offload_perception.characterize.prefix_memory import predict
from offload_perception.errors import ConfigError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.edgetpu_bus import Bus
from offload_perception.runtime.edgetpu_refusal import check_attached
from offload_perception.runtime.select import edgetpu_choice, resolve
from offload_perception.tensor import TensorSpec

FLOAT32, INT8, EDGETPU = 'float32', 'int8', 'edgetpu'
AVAILABLE = 'available'
BACKENDS = {FLOAT32: 'float32 on the CPU', INT8: 'int8 on the CPU',
            EDGETPU: 'int8 on the Edge TPU'}


def choose(names: str, bus: Bus | None = None) -> tuple[str, ...]:
    """Return the backends that a comma list names; `available` are those this machine has.

    :raises ConfigError: for a name that does not exist.
    :raises DeviceError: if the Edge TPU is named and none is attached.
    """
    bus = bus or Bus()
    if names == AVAILABLE:
        return tuple(name for name in BACKENDS if name != EDGETPU or bus.attached())
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(',')))
    for name in chosen:
        if name not in BACKENDS:
            raise ConfigError(f"backend '{name}' is unknown; use available, or some of "
                              f'{", ".join(BACKENDS)} with commas')
    if EDGETPU in chosen:
        check_attached(bus)
    return chosen


def check_backend(name: str, artefact: Artefact) -> None:
    """Refuse int8 backends for a float network.

    :raises ConfigError: with what would do.
    """
    if name != FLOAT32 and not artefact.quantised:
        raise ConfigError(f'{artefact.name} is a float network, so backend {name} has nothing to '
                          f'run; use --backends {FLOAT32}, or an int8 network')


def fitting(names: tuple[str, ...], artefact: Artefact, *, float_file: bool) -> tuple[str, ...]:
    """Return the backends that the model has files for; `float_file`: its float32 one is given."""
    if not artefact.quantised:
        return tuple(name for name in names if name == FLOAT32)
    has_float = float_file or artefact.keras_file.exists()
    return tuple(name for name in names if name != FLOAT32 or has_float)


class Backend:
    """One way to run prefixes: it makes their files, and estimates their memory.

    `float_file` is where the whole float32 network is, or is written when first needed.
    """

    def __init__(self, name: str, artefact: Artefact, *, runtime: str, float_file: Path) -> None:
        self.name, self._artefact, self._float_file = name, artefact, float_file
        check_backend(name, artefact)
        self._converted = name == FLOAT32 and artefact.quantised
        self.runtime = (edgetpu_choice(runtime) if name == EDGETPU else
                        resolve('cpu', runtime)).runtime

    def predict(self, cut: int) -> int:
        """Return the bytes that a prefix needs on top of the bare runtime."""
        return predict(self._artefact, cut, float32=self._converted)

    @contextmanager
    def job(self, cut: int, *, threads: int, seconds: float, runs: int,
            limit_bytes: int | None) -> Iterator[Job]:
        """Give the job that measures a prefix; cut 0 loads the bare runtime only."""
        what: dict[str, Any] = {
            'threads': threads, 'seconds': seconds, 'runs': runs, 'runtime': self.runtime,
            'limit_bytes': limit_bytes if cut else None, 'cut': cut}
        if cut == 0:
            yield Job(**what)
        elif self.name == EDGETPU:
            yield Job(**what, model=str(self._artefact.path))
        else:
            with self._prefixes.file(cut) as file:
                given, wanted = (list(map(self._dict, specs))
                                 for specs in self._artefact.end_specs(1, cut))
                yield Job(**what, file=str(file), inputs=given, outputs=wanted)

    @cached_property
    def _prefixes(self) -> FloatPrefixes | OwnPrefixes:
        if self._converted:
            return FloatPrefixes(self._artefact, write_float(self._artefact, self._float_file))
        return OwnPrefixes(self._artefact)

    def _dict(self, spec: TensorSpec) -> dict[str, Any]:
        made = TensorSpec(spec.shape, 'float32') if self._converted else spec
        return made.to_dict()
