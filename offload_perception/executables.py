"""Where every executable begins: a signal ends it at once until it handles signals itself.

Python would raise KeyboardInterrupt somewhere in the imports, which take seconds; in a callback of
the import system it would be lost.
"""

import signal
from collections.abc import Callable
from functools import partial
from importlib import import_module

_NODE = '_node'


def start(module: str) -> int | None:
    """Import a module of this package, run its `main`, and return the exit code."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # of SIGTERM the system's own is the default
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    main: Callable[[], int | None] = import_module(f'offload_perception.{module}').main
    signal.signal(signal.SIGINT, before)
    return main()


def __getattr__(name: str) -> Callable[[], int | None]:
    """Return what starts the executable of that name, for the entry points of setup.py."""
    if name.startswith('_'):
        raise AttributeError(name)
    return partial(start, f'nodes.{name.removesuffix(_NODE)}' if name.endswith(_NODE)
                   else f'cli.{name}')
