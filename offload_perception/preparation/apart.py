"""Build a model in a process of its own, which can be ended at any moment.

TensorFlow keeps Python's lock while it quantises, for a minute with VGG16: a node that does so
itself would not even answer a signal. Its memory goes with the process, too, and an interpreter
that a broken .tflite file crashes takes no other work with it.
"""

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from offload_perception.errors import ModelError, OffloadError
from offload_perception.orphans import end_with_parent
from offload_perception.preparation.prepare import Build, build_model
from offload_perception.preparation.wishes import Progress

POLL_S = 0.1


def building_apart(raise_if_cancelled: Callable[[], None]) -> Build:
    """Return a `build` for `prepare` that runs in a process of its own.

    :param raise_if_cancelled: is called ten times a second; what it raises ends the build.
    """
    return partial(_build_apart, raise_if_cancelled)


def _build_apart(raise_if_cancelled: Callable[[], None], *what: Any, progress: Progress) -> None:
    """Do as `build_model`; raises ModelError also if the process died."""
    ours, theirs = Pipe(duplex=False)
    with ours, _child(theirs, what) as child:
        while True:
            raise_if_cancelled()
            if not ours.poll(POLL_S):
                continue
            try:
                said, done = ours.recv()
            except EOFError:
                raise ModelError(f'building the model ended with {_end(child)}; is there enough '
                                 'memory, and is the file whole?') from None
            if not done:
                progress(said)
            elif said is None:
                return
            else:
                raise said


@contextmanager
def _child(pipe: Connection, what: tuple[Any, ...]) -> Iterator[subprocess.Popen[bytes]]:
    with pipe:
        child = subprocess.Popen(
            [sys.executable, '-m', __name__, str(pipe.fileno()), str(os.getpid())],
            stdin=subprocess.PIPE, pass_fds=(pipe.fileno(),),
            start_new_session=True,  # Ctrl-C is for us, who then end it
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(p for p in sys.path if p)})
    try:
        assert child.stdin is not None
        pickle.dump(what, child.stdin)
        child.stdin.close()
        yield child
    finally:
        child.kill()
        child.wait()


def _end(child: subprocess.Popen[bytes]) -> str:
    code = child.wait()
    return signal.Signals(-code).name if code < 0 else f'exit code {code}'


def main() -> None:
    """Build what comes in on stdin; the pipe reports each step, then the result."""
    handle, parent = map(int, sys.argv[1:])
    end_with_parent(parent, signal.SIGKILL)
    with Connection(handle, readable=False) as pipe:
        pipe.send((_outcome(pipe), True))


def _outcome(pipe: Connection) -> OffloadError | None:
    try:
        build_model(*pickle.load(sys.stdin.buffer),
                    progress=lambda text: pipe.send((text, False)))
    except OffloadError as e:
        return e
    except Exception as e:
        traceback.print_exc()
        return ModelError(f'the model cannot be built: {type(e).__name__}: {e}')
    return None


if __name__ == '__main__':
    main()
