"""Which runtime runs on which device: resolved once, and logged in one line."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from offload_perception.errors import ConfigError, RuntimeUnavailableError
from offload_perception.runtime.runtimes import RUNTIMES, is_x86
from offload_perception.runtime.tflite import remedy

DEVICES = ('auto', 'edgetpu', 'cpu')
PYCORAL = 'pycoral'  # Google's own way to an Edge TPU, on tflite_runtime
NO_EDGE_TPU = 'the Edge TPU is not used'  # begins the `fallback` of device auto on the CPU

# Known for every CPU: int8 products without overflow in 16 bits (AVX-VNNI, AVX512-VNNI).
_EXACT_INT8_FLAGS = {'avx512_vnni', 'avx_vnni', 'amx_int8'}


@dataclass(frozen=True)
class Choice:
    """The runtime and device that will run, and why.

    `runtime` runs the segments; `rivals` are the runtimes that may run merged layers if they
    agree with it and are faster. `fallback` says what was wanted and could not be had; it is
    empty if nothing was given up.
    """

    device: str
    runtime: str
    reason: str
    rivals: tuple[str, ...] = ()
    fallback: str = ''

    def __str__(self) -> str:
        """Return the one line for the log."""
        line = f'runtime {self.runtime} on {self.device} ({self.reason})'
        return f'{line}; FALLBACK: {self.fallback}' if self.fallback else line


def resolve(device: str = 'auto', runtime: str = 'auto') -> Choice:
    """Choose the runtime for a device; `open_network` finds out what `auto` means.

    :raises ConfigError: for a name that does not exist.
    :raises RuntimeUnavailableError: if the runtime asked for is not installed.
    """
    _check('device', device, DEVICES)
    _check('runtime', runtime, ('auto', *RUNTIMES, PYCORAL))
    return edgetpu_choice(runtime) if device == 'edgetpu' else cpu_choice(runtime)


def edgetpu_choice(runtime: str = 'auto') -> Choice:
    """Choose the interpreter that loads the Edge TPU's delegate.

    Google's pycoral is taken if it is named, or if there is nothing else: it is for the
    interpreters of 2021.

    :raises RuntimeUnavailableError: if there is none, or `runtime` takes no delegate.
    """
    if runtime == PYCORAL or (runtime == 'auto' and not _found(exact=True) and has_pycoral()):
        if not has_pycoral():
            raise RuntimeUnavailableError(
                "runtime pycoral is Google's package, which is not installed (that of this name "
                'on PyPI is another); use runtime auto')
        return Choice('edgetpu', PYCORAL, 'as configured' if runtime == PYCORAL else
                      'nothing else is installed')
    if runtime != 'auto' and not RUNTIMES[runtime].exact:
        raise RuntimeUnavailableError(f'runtime {runtime} takes no Edge TPU; use litert or auto')
    exact = runtime if runtime != 'auto' else next(iter(_found(exact=True)), 'litert')
    return Choice('edgetpu', _installed(exact), 'as configured' if runtime != 'auto' else
                  'the interpreter installed')


def cpu_choice(runtime: str = 'auto', fallback: str = '') -> Choice:
    """Choose among the CPU runtimes: `runtime`, or by race if it is `auto`."""
    if runtime == PYCORAL:
        raise RuntimeUnavailableError('runtime pycoral runs on an Edge TPU alone; use auto')
    if runtime != 'auto':
        return Choice('cpu', _installed(runtime), _reason(runtime), (runtime,), fallback)
    exact, *rivals = installed()
    reason = f'merged layers also on {", ".join(rivals)} if that agrees and is faster'
    return Choice('cpu', exact, reason if rivals else 'the only one installed',
                  (exact, *rivals), fallback)


def installed() -> tuple[str, ...]:
    """Return the runtimes to use on this machine: an exact one first, then what may beat it.

    The interpreters run the same kernels, so the first that is there stands for all.

    :raises RuntimeUnavailableError: if there is none.
    """
    exact, rivals = _found(exact=True)[:1], _found(exact=False)
    if not exact and not rivals:
        raise RuntimeUnavailableError(
            'no inference runtime is installed; pip install ai-edge-litert')
    return (*exact, *rivals)


def has_pycoral() -> bool:
    """Return whether Google's pycoral is installed."""
    try:
        return find_spec('pycoral.utils.edgetpu') is not None
    except ImportError:
        return False


def _found(*, exact: bool) -> list[str]:
    return [name for name, r in RUNTIMES.items()
            if r.exact is exact and r.suits() and find_spec(r.module)]


def _installed(runtime: str) -> str:
    if not find_spec(RUNTIMES[runtime].module):
        raise RuntimeUnavailableError(f'runtime {runtime} is not installed; {remedy(runtime)}')
    return runtime


def _reason(runtime: str) -> str:
    if runtime == 'openvino' and is_x86() and not _EXACT_INT8_FLAGS & _cpu_flags():
        return ('as configured; this CPU has no VNNI, so int8 products may saturate and results '
                'be wrong unless the weights have 7 bits')
    return 'as configured'


def _cpu_flags() -> set[str]:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith('flags') for flag in line.split()}


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} '{value}' is unknown; use one of {', '.join(known)}")
