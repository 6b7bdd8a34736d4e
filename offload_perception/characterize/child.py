"""The process that runs one prefix: a job comes in on stdin, its timing goes out on stdout."""

import json
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import numpy as np
import psutil

from offload_perception.characterize.job import Job, Timing
from offload_perception.characterize.prefix_memory import peak_bytes
from offload_perception.errors import OffloadError

WARM_UP_RUNS = 2
Run = Callable[[], object]


def main() -> None:
    """Answer one job: `{"timing": ...}`, or `{"error": class, "message": ...}`."""
    job = Job(**json.load(sys.stdin))
    try:
        _prefer_oom_kill()
        if job.limit_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (job.limit_bytes, job.limit_bytes))
        answer: dict[str, Any] = {'timing': asdict(_measure(job))}
    except (OffloadError, MemoryError) as e:
        answer = {'error': type(e).__name__, 'message': str(e)}
    print(json.dumps(answer), flush=True)


def _measure(job: Job) -> Timing:
    import_runtime(job.runtime)
    base = Timing(base_bytes=_peak_bytes())
    if not job.file and not job.model:
        return base
    before = perf_counter()
    run, device = _edgetpu(job) if job.model else _cpu(job)
    loaded = perf_counter()
    run()
    first_s = perf_counter() - loaded
    for _ in range(WARM_UP_RUNS):
        run()
    timing = time_runs(run, base, seconds=job.seconds, runs=job.runs)
    return replace(timing, load_s=loaded - before, first_s=first_s, device=device,
                   peak_bytes=_peak_bytes())


def time_runs(run: Run, timing: Timing, *, seconds: float, runs: int,
              clock: Callable[[], float] = monotonic) -> Timing:
    """Call `run` for so many seconds, and so many times at least; return `timing` with times."""
    moments = [clock()]
    while moments[-1] - moments[0] < seconds or len(moments) <= runs:
        run()
        moments.append(clock())
    each_s = np.diff(moments)
    return replace(
        timing, start_s=moments[0], end_s=moments[-1], runs=len(each_s),
        mean_s=float(each_s.mean()), spread_s=float(each_s.std(ddof=min(1, len(each_s) - 1))),
        median_s=float(np.median(each_s)), least_s=float(each_s.min()))


def import_runtime(runtime: str) -> None:
    """Load all that any prefix needs, so that its memory can be distinguished from the model's."""
    import offload_perception.runtime.load  # noqa: F401

    _noise((1,))
    if runtime == 'openvino':
        from offload_perception.runtime.openvino import core
        core()
    else:
        from offload_perception.runtime.tflite import interpreter_module
        interpreter_module(runtime)


def _cpu(job: Job) -> tuple[Run, str]:
    from offload_perception.runtime.load import load_cpu

    runner = load_cpu(job.runtime, Path(job.file), *job.specs, threads=job.threads)
    xs = tuple(_noise(spec.shape).astype(spec.dtype) for spec in job.specs[0])
    return lambda: runner.run(xs), f'{runner.runtime} on cpu'


def _edgetpu(job: Job) -> tuple[Run, str]:
    from offload_perception.network.artefact import Artefact
    from offload_perception.runtime.edgetpu import EdgeTpuNetwork
    from offload_perception.runtime.select import edgetpu_choice

    whole = Artefact.load(job.model)
    head = replace(whole, layers=whole.layers[:job.cut], outputs=whole.boundary(job.cut))
    network = EdgeTpuNetwork(head, edgetpu_choice(job.runtime), threads=job.threads)
    image = _noise(head.input.shape)
    return lambda: network.head(job.cut, image), network.describe()


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _peak_bytes() -> int:
    children = psutil.Process().children(recursive=True)
    return peak_bytes() + sum(peak_bytes(child.pid) for child in children)


def _prefer_oom_kill() -> None:
    """If memory runs out anyway, let the kernel kill this process and no other."""
    with suppress(OSError):
        Path('/proc/self/oom_score_adj').write_text('1000')


if __name__ == '__main__':
    main()
