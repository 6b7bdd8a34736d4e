"""Start a graph as processes, as `ros2 launch` does, if `ros2` is not installed."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from offload_perception.bringup.arguments import Settings
from offload_perception.bringup.dds import discovery_environment, security_environment
from offload_perception.bringup.graph import NodeEntry
from offload_perception.bringup.installed import executable
from offload_perception.bringup.permissions import enclave
from offload_perception.errors import ConfigError
from offload_perception.orphans import end_with_parent
from offload_perception.threads import Worker

STOP_TIMEOUT_S = 8.0
RESPAWN_DELAY_S = 2.0
STAY_INACTIVE = {'stay_inactive': 'true'}  # a node configures itself and waits to be activated


def parse_arguments(nodes: tuple[NodeEntry, ...], given: list[str]) -> Settings:
    """Return the checked arguments from words like `name:=value`, as `ros2 launch` takes them.

    :raises ConfigError: for a word of another form, or an argument that is wrong.
    """
    return Settings(nodes, parse_words(given))


def parse_words(given: list[str]) -> dict[str, str]:
    """Return the values of words like `name:=value`, not checked.

    :raises ConfigError: for a word of another form.
    """
    values = {}
    for word in given:
        name, assigned, value = word.partition(':=')
        if not assigned:
            raise ConfigError(f"'{word}' is not of the form name:=value")
        values[name] = value
    return values


def command_of(node: NodeEntry, settings: Settings, extra: Mapping[str, str]) -> list[str]:
    """Return the command line of a node; `extra` are more parameters, as YAML."""
    path = executable(node.executable)
    if path is None:
        raise ConfigError(f'{node.executable} is not installed here; source the workspace, or use '
                          'scripts/run.sh')
    remaps = {'__node': node.name, '__ns': f'/{settings.namespace(node).strip("/")}',
              **settings.remappings(node)}
    command = [path, '--ros-args', '--log-level', settings['log_level']]
    command += [word for name, to in remaps.items() for word in ('-r', f'{name}:={to}')]
    if settings['keystore']:
        command += ['--enclave', enclave(node, settings)]
    if settings['params_file']:
        command += ['--params-file', settings['params_file']]
    given = {name: json.dumps(value) for name, value in settings.parameters(node).items()}
    for parameter, yaml in {**given, **extra}.items():  # the last one wins
        command += ['-p', f'{parameter}:={yaml}']
    return command


class NodeProcess:
    """A node as a process; its output goes to `show` line by line, with its name before it.

    :param environment: variables beside those of this process.
    """

    def __init__(self, name: str, command: list[str], show: Callable[[str], None],
                 environment: Mapping[str, str] = MappingProxyType({})) -> None:
        self.name, self.command = name, command
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors='replace', env={**os.environ, **environment},
            start_new_session=True, preexec_fn=partial(end_with_parent, os.getpid(),
                                                      signal.SIGTERM))
        self._reader = Worker(f'output of {name}', partial(self._forward, show))
        self._reader.start()

    def _forward(self, show: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                show(f'[{self.name}] {line.rstrip()}')

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask the process to end, without waiting for it.

        By SIGTERM, which ends a running node as Ctrl-C does, and one that still loads its modules
        without a traceback.
        """
        if self.exit_code is None:
            self._process.terminate()

    def stop(self) -> int:
        """End the process, by force if it does not react; return its code."""
        self.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.stop(1.0)
        return self._process.returncode


class GraphRunner:
    """The processes of a graph; a context manager that ends them all.

    :param label: gives the name under which the output of a node is shown.
    """

    def __init__(self, nodes: tuple[NodeEntry, ...], settings: Settings,
                 show: Callable[[str], None] = print,
                 label: Callable[[NodeEntry], str] = lambda node: node.name) -> None:
        self._nodes = {n.name: n for n in nodes if settings.runs(n)}
        self._settings, self._show, self._label = settings, show, label
        self._processes: dict[str, NodeProcess] = {}
        self._again_s: dict[str, float] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def start(self, *names: str, **extra: str) -> None:
        """Start nodes by name, those that run.

        :param extra: more parameters for each, as YAML; not for one that is started again.
        """
        for name in names:
            if name in self._nodes:
                command = command_of(self._nodes[name], self._settings, extra)
                self._processes[name] = self._process(self._label(self._nodes[name]), command)

    def dead(self) -> tuple[str, int] | None:
        """Return name and exit code of a node that has ended by itself, None if all run.

        With `respawn` such a node is restarted after a while, and not returned.
        """
        for name, process in list(self._processes.items()):
            if process.exit_code is None:
                continue
            if not self._settings.is_true('respawn'):
                return name, process.exit_code
            self._respawn(name, process.exit_code)
        return None

    def _respawn(self, name: str, exit_code: int) -> None:
        if name not in self._again_s:
            self._again_s[name] = time.monotonic() + RESPAWN_DELAY_S
            self._show(f'[{self._processes[name].name}] ended with code {exit_code}; starting it '
                       'again')
        elif time.monotonic() >= self._again_s[name]:
            del self._again_s[name]
            ended = self._processes[name]
            ended.stop()
            self._processes[name] = self._process(
                ended.name, command_of(self._nodes[name], self._settings, {}))

    def _process(self, label: str, command: list[str]) -> NodeProcess:
        return NodeProcess(label, command, self._show, {
            **discovery_environment(self._settings['discovery']),
            **security_environment(self._settings['keystore'])})

    def terminate(self, *names: str) -> None:
        """Ask nodes to end, without waiting for them; `stop` waits."""
        for name in names:
            if name in self._processes:
                self._processes[name].terminate()

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
