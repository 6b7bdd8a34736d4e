"""The table of inference runtimes: the one place that knows how to find and to load each."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from offload_perception.runtime.openvino import OpenVinoBatchRunner, OpenVinoRunner
from offload_perception.runtime.runner import BatchRunner, Runner
from offload_perception.runtime.tflite import INTERPRETERS, open_tflite, open_tflite_batch


def is_x86() -> bool:
    """Return whether this computer has an x86-64 CPU."""
    return platform.machine() in ('x86_64', 'AMD64')


@dataclass(frozen=True)
class Runtime:
    """An inference runtime for the CPU.

    `module` is what has to be importable, `package` what to install for it. `load` takes a
    .tflite file, the specs of its two ends and `threads`, and returns a `Runner`; `load_batch`
    takes one of an open batch and `threads` (None: it runs no batches). An `exact`
    runtime has the kernels of TensorFlow Lite: the first one installed runs the segments. Any
    other runs merged layers under `auto`, if it agrees with the exact one and is faster, on
    computers that `suits` accepts.
    """

    module: str
    package: str
    load: Callable[..., Runner]
    load_batch: Callable[..., BatchRunner] | None = None
    exact: bool = False
    suits: Callable[[], bool] = lambda: True


RUNTIMES = {
    **{name: Runtime(module.split('.')[0], package, partial(open_tflite, runtime=name),
                     partial(open_tflite_batch, runtime=name), exact=True)
       for name, (module, package) in INTERPRETERS.items()},
    'openvino': Runtime('openvino', 'openvino', OpenVinoRunner, OpenVinoBatchRunner,
                        suits=is_x86),
}
