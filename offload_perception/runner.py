"""Start a graph as processes, as `ros2 launch` does, where `ros2` is not installed."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial

from offload_perception.dds import profile_environment
from offload_perception.errors import ConfigError
from offload_perception.graph import NodeEntry, arguments, namespace_of, parameter_type, runs
from offload_perception.orphans import end_with_parent
from offload_perception.threads import Worker

STOP_TIMEOUT_S = 8.0
_NAMESPACE = re.compile(r'/?([A-Za-z_]\w*(/[A-Za-z_]\w*)*/?)?', re.ASCII)


def parse_arguments(nodes: tuple[NodeEntry, ...], given: list[str]) -> dict[str, str]:
    """Return every argument's value from words like `name:=value`, as `ros2 launch` takes them.

    :raises ConfigError: for a word of another form, or a name that the graph does not have.
    """
    known = arguments(nodes)
    values = {name: a.default for name, a in known.items()}
    for word in given:
        name, assigned, value = word.partition(':=')
        if not assigned:
            raise ConfigError(f"'{word}' is not of the form name:=value")
        if name not in known:
            raise ConfigError(f"there is no argument '{name}'; use one of {', '.join(known)}")
        values[name] = value
    for node in nodes:
        _check(node, values)
    return values


def _check(node: NodeEntry, values: dict[str, str]) -> None:
    """Refuse what ROS would take for another name, or for no condition at all."""
    namespace = namespace_of(values[node.namespace])
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError(f"namespace '{values[node.namespace]}' ({node.namespace}) is not "
                          'possible: use letters, digits and _, parts separated by one /, none '
                          'starting with a digit')
    runs(node, values)


def command_of(node: NodeEntry, values: dict[str, str], extra: dict[str, str]) -> list[str]:
    """Return the command line of a node; `extra` are more parameters, as YAML."""
    executable = shutil.which(node.executable)
    if executable is None:
        raise ConfigError(f'{node.executable} is not on the PATH; source the workspace, or use '
                          'scripts/run.sh')
    command = [executable, '--ros-args', '-r', f'__node:={node.name}',
               '-r', f'__ns:={namespace_of(values[node.namespace])}']
    for parameter, argument in node.parameters.items():
        text = values[argument]
        yaml = json.dumps(text) if parameter_type(node, parameter) is str else text
        command += ['-p', f'{parameter}:={yaml}']
    for parameter, yaml in extra.items():
        command += ['-p', f'{parameter}:={yaml}']
    if values.get('params_file'):
        command += ['--params-file', values['params_file']]
    return command


class NodeProcess:
    """A node as a process; its output goes to `show` line by line, with its name before it."""

    def __init__(self, name: str, command: list[str], show: Callable[[str], None]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors='replace', env={**os.environ, **profile_environment()},
            start_new_session=True, preexec_fn=partial(end_with_parent, os.getpid(),
                                                      signal.SIGTERM))
        self._reader = Worker(f'output of {name}', partial(self._forward, show))
        self._reader.start()

    def _forward(self, show: Callable[[str], None]) -> None:
        for line in self._process.stdout:
            show(f'[{self.name}] {line.rstrip()}')

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """End the process, by force if it does not listen; return its code.

        By SIGTERM, which ends a running node as Ctrl-C does, and one that still loads its modules
        without a traceback.
        """
        if self.exit_code is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.stop(1.0)
        return self._process.returncode


class GraphRunner:
    """The processes of a graph; a context manager that ends them all."""

    def __init__(self, nodes: tuple[NodeEntry, ...], values: dict[str, str],
                 show: Callable[[str], None] = print) -> None:
        self._nodes = {n.name: n for n in nodes if runs(n, values)}
        self._values, self._show = values, show
        self._processes: dict[str, NodeProcess] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def start(self, *names: str, **extra: str) -> None:
        """Start nodes by name; `extra` are more parameters for each, as YAML."""
        for name in names:
            if name in self._nodes:
                command = command_of(self._nodes[name], self._values, extra)
                self._processes[name] = NodeProcess(name, command, self._show)

    def dead(self) -> tuple[str, int] | None:
        """Return name and exit code of a node that has ended by itself, None where all run."""
        for name, process in self._processes.items():
            if process.exit_code is not None:
                return name, process.exit_code
        return None

    def stop(self, name: str) -> None:
        """End one node."""
        if name in self._processes:
            self._processes.pop(name).stop()

    def close(self) -> None:
        """End all nodes, the last one started first."""
        for name in reversed(list(self._processes)):
            self.stop(name)

    def __enter__(self) -> 'GraphRunner':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
