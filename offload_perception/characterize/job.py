"""One prefix in a process of its own: its job, and its result."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import offload_perception
from offload_perception import errors
from offload_perception.errors import OffloadError, RuntimeUnavailableError
from offload_perception.tensor import TensorSpec

CHILD = 'offload_perception.characterize.child'
TIMEOUT_S = 900.0


class DoesNotFitError(OffloadError):
    """A prefix needs more memory than it may have."""


@dataclass(frozen=True)
class Job:
    """What to run: a model file on a CPU runtime, or a prepared model's head on an Edge TPU.

    Without `file` and `model` only the runtime is loaded. The timed runs last for `seconds` and
    are `runs` at least. `limit_bytes` is the most private memory that the process gets.
    """

    runtime: str
    threads: int
    seconds: float
    runs: int
    file: str = ''
    model: str = ''
    cut: int = 0
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    limit_bytes: int | None = None

    @property
    def specs(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Return the tensors at both ends of `file`."""
        return (tuple(map(TensorSpec.from_dict, self.inputs)),
                tuple(map(TensorSpec.from_dict, self.outputs)))


@dataclass(frozen=True)
class Timing:
    """What a prefix took: times in s, the window of the timed runs on the monotonic clock.

    `base_bytes` is the peak memory before the model was loaded, `peak_bytes` at the end.
    """

    base_bytes: int
    peak_bytes: int = 0
    load_s: float = nan
    first_s: float = nan
    start_s: float = nan
    end_s: float = nan
    runs: int = 0
    mean_s: float = nan
    spread_s: float = nan
    median_s: float = nan
    least_s: float = nan
    device: str = ''


def run_job(job: Job, on_start: Callable[[int], None] = lambda pid: None,
            timeout_s: float = TIMEOUT_S) -> Timing:
    """Run a job in a process and wait for it; `on_start` is given the process's id.

    :raises DoesNotFitError: if memory ran out, or the time did.
    :raises OffloadError: what the process met, by its own class.
    """
    with subprocess.Popen([sys.executable, '-m', CHILD], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=_environment()) as process:
        try:
            on_start(process.pid)
            out, err = process.communicate(json.dumps(asdict(job)), timeout_s)
        except subprocess.TimeoutExpired as e:
            raise DoesNotFitError(f'not finished within {timeout_s:g} s') from e
        finally:
            process.kill()
    return _outcome(job, process.returncode, out, err)


def _outcome(job: Job, code: int, out: str, err: str) -> Timing:
    try:
        answer = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        raise _death(code, err) from None
    if 'timing' in answer:
        return Timing(**answer['timing'])
    name, message = answer['error'], answer['message']
    if name == 'MemoryError' or (name == 'ModelError' and job.limit_bytes):
        # an interpreter that gets no memory only says that it cannot load the file
        raise DoesNotFitError(f'out of memory: {message}')
    raise getattr(errors, name)(message)


def _death(code: int, err: str) -> OffloadError:
    """Return why a process ended without an answer; allocation failures abort native code."""
    said = (err.strip().splitlines() or ['it printed nothing'])[-1]
    if code == -9 or 'bad_alloc' in err or 'MemoryError' in err or 'annot allocate' in err:
        return DoesNotFitError(f'out of memory: the process ended with {code} ({said})')
    return RuntimeUnavailableError(
        f'the measuring process ended with {code}: {said}; try another runtime')


def _environment() -> dict[str, str]:
    """Let the child import this very package, installed or not."""
    root = str(Path(offload_perception.__file__).parents[1])
    inherited = os.environ.get('PYTHONPATH')
    return os.environ | {'PYTHONPATH': f'{root}{os.pathsep}{inherited}' if inherited else root}
