"""The process that holds the Edge TPU: it runs requests until the pipe closes.

libedgetpu ends the whole process on a USB error, and crashes it if versions do not match,
so it must not live in a node's process. Tensors lie in memory that both processes map: the
first half takes the input of a request, the second its output.
"""

import mmap
import sys
from contextlib import suppress
from ctypes import CDLL
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from offload_perception.runtime.edgetpu_plan import (
    EdgeTpuPlan,
    SegmentLoad,
    cpu_runtime,
    places,
)
from offload_perception.runtime.runner import Runner
from offload_perception.runtime.select import PYCORAL
from offload_perception.runtime.steps import Step, run_steps
from offload_perception.runtime.tflite import TfliteRunner, interpreter_module, open_tflite
from offload_perception.tensor import Tensors


def main() -> int:
    """Serve the pipe and the memory whose file descriptors are the two arguments."""
    pipe, memory = Connection(int(sys.argv[1])), mmap.mmap(int(sys.argv[2]), 0)
    with suppress(EOFError, ConnectionError):  # the node has gone
        serve(pipe, memory)
    return 0


def serve(pipe: Connection, memory: mmap.mmap) -> None:
    """Load the plan that comes first, then answer requests `(first, last)` with times."""
    plan: EdgeTpuPlan = pipe.recv()
    try:
        runners = [open_load(load, plan) for load in plan.loads]
    except Exception as e:  # the parent turns it into an error
        pipe.send(('refused', type(e).__name__, str(e)))
        return
    pipe.send(('ready',))
    while True:
        first, last = pipe.recv()
        try:
            pipe.send(('done', run(plan, runners, first, last, memory)))
        except Exception as e:  # a delegate that reports an error instead of crashing
            pipe.send(('failed', type(e).__name__, str(e)))


def run(plan: EdgeTpuPlan, runners: list[Runner], first: int, last: int,
        memory: mmap.mmap) -> list[float]:
    """Run files `first` to `last`, from and to the shared memory; return their seconds."""
    steps = [Step(k, k, runners[k - 1], plan.loads[k - 1].takes, plan.loads[k - 1].gives)
             for k in range(first, last + 1)]
    known = dict(zip(plan.boundaries[first - 1], tensors(memory, 0, plan, first - 1),
                     strict=True))
    ys, seconds = run_steps(steps, known, plan.boundaries[last])
    for mine, y in zip(tensors(memory, 1, plan, last), ys, strict=True):
        np.copyto(mine, y)
    return seconds


def tensors(memory: mmap.mmap, half: int, plan: EdgeTpuPlan, cut: int) -> Tensors:
    """Return views of the tensors at a cut in the input (0) or output (1) half of the memory."""
    numbers = plan.boundaries[cut]
    starts = places(plan.specs, numbers)
    return tuple(
        np.frombuffer(memory, (spec := plan.specs[i]).dtype, spec.size,
                      half * len(memory) // 2 + start).reshape(spec.shape)
        for i, start in zip(numbers, starts, strict=False))


def open_load(load: SegmentLoad, plan: EdgeTpuPlan) -> Runner:
    """Open a file on the CPU or on the Edge TPU, as the plan's runtime does."""
    ends = tuple(tuple(plan.specs[i] for i in numbers) for numbers in (load.takes, load.gives))
    if load.device is None:
        return open_tflite(load.file, *ends, runtime=cpu_runtime(plan.runtime),
                           threads=plan.threads)
    name = f'edgetpu {load.device}'.strip()
    options = {'device': load.device} if load.device else {}
    if plan.performance != 'default':
        options['Performance'] = plan.performance.capitalize()
    if plan.runtime == PYCORAL:
        interpreter = _pycoral_interpreter(str(load.file), options)
        interpreter.allocate_tensors()
        return TfliteRunner(interpreter, *ends, runtime=PYCORAL, device=name,
                            name=load.file.name)
    CDLL(plan.library)  # raises a clear error; load_delegate prints more
    delegate = interpreter_module(plan.runtime).load_delegate(plan.library, options)
    return open_tflite(load.file, *ends, runtime=plan.runtime, threads=plan.threads,
                       delegates=[delegate], device=name)


def _pycoral_interpreter(file: str, options: dict[str, str]) -> Any:
    """Return an interpreter as Google's pycoral makes it; PyPI's pycoral is something else."""
    from pycoral.utils.edgetpu import load_edgetpu_delegate, make_interpreter
    return make_interpreter(file, delegate=load_edgetpu_delegate(options))


if __name__ == '__main__':
    sys.exit(main())
