"""The set-up scripts, as far as they can be tried without a set-up."""

import fcntl
import os
import re
import subprocess
import time
from pathlib import Path
from select import select
from shutil import copy, copytree

import pytest

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'environment.sh'
ALONE = f"""set -euo pipefail
eval "$(sed -n '/^hold()/,/^}}/p; /^release()/p' '{SCRIPT}')"
hold "$1" 'the set-up of another checkout'
echo alone
release
"""


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(['bash', '-c', ALONE, 'bash', str(folder)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def first_words(process: subprocess.Popen[str]) -> str:
    """Return the first line on stderr of a process that may say nothing."""
    assert process.stderr
    assert select([process.stderr], [], [], 60)[0], 'it says nothing'
    return process.stderr.readline()


def test_who_waits_for_another_set_up_says_so(tmp_path: Path) -> None:
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waiting = start(tmp_path)
    try:
        said = first_words(waiting)
        assert 'waiting for the set-up of another checkout' in said and str(tmp_path) in said
        assert waiting.poll() is None
    finally:
        os.close(lock)
        out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and out == 'alone\n'


def test_who_is_alone_says_nothing(tmp_path: Path) -> None:
    out, err = start(tmp_path).communicate(timeout=60)
    assert (out, err) == ('alone\n', '')


TOOL = """#!/bin/bash
# Stands for Python, pip, colcon, uname: notes that it was called; the gated one waits.
note() {
  echo "$1" >>"$EVENTS"
  until [ "$1" != "$GATED" ] || [ -e "$EVENTS.gate" ]; do sleep 0.05; done
}
case "$(basename "$0") $1 $2" in
  'pip install '*) note pip ;;
  'colcon '*) note colcon; mkdir -p install; touch install/local_setup.bash ;;
  'python'*' -m venv') note venv; venv=${*: -1}; mkdir -p "$venv/bin" "$venv/share"
    for tool in python pip colcon; do cp "$0" "$venv/bin/$tool"; done ;;
  'python '*/requirements.py' '*) note "${*:2}" ;;
  'uname -m ') echo aarch64 ;;
  'uname -s ') echo Linux ;;
  *) ;;  # questions that need no answer
esac
"""


class Checkouts:
    """Checkouts with scripts and nothing else, one cache, and tools that only seem to work."""

    def __init__(self, folder: Path, gated: str, **env: str) -> None:
        self._folder, self._events = folder, folder / 'events'
        self._started: list[subprocess.Popen[str]] = []
        tool = folder / 'python'
        tool.write_text(TOOL)
        tool.chmod(0o755)
        self._env = {name: value for name, value in os.environ.items() if name != 'ROS_DISTRO'}
        self._env |= {'OFFLOAD_PERCEPTION_PYTHON': str(tool), 'EVENTS': str(self._events),
                      'OFFLOAD_PERCEPTION_ROS': str(folder / 'ros'),
                      'OFFLOAD_PERCEPTION_CACHE': str(folder / 'cache'), 'GATED': gated,
                      **env}

    def run(self, name: str, *command: str) -> subprocess.Popen[str]:
        root = self._folder / name
        if not root.exists():
            for part in ('scripts', 'requirements'):
                copytree(SCRIPT.parents[1] / part, root / part)
            for part in ('offload_perception/codec/rans.c', 'msg/A.msg', 'package.xml', 'setup.py',
                         'CMakeLists.txt', 'launch/a', 'config/a', 'resource/a'):
                (root / part).parent.mkdir(parents=True, exist_ok=True)
                (root / part).touch()
        self._started.append(subprocess.Popen(
            ['bash', root / 'scripts' / 'run.sh', *(command or ('echo', 'entered'))],
            env=self._env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE))
        return self._started[-1]

    def until_called(self, tool: str) -> None:
        give_up_s = time.monotonic() + 60
        while tool not in self.called:
            assert time.monotonic() < give_up_s, self.called
            time.sleep(0.05)

    @property
    def called(self) -> list[str]:
        return self._events.read_text().split() if self._events.exists() else []

    def become_a_drone(self, *, ros: bool) -> None:
        """Have the machine be an ARM board, perhaps with ROS 2 installed and not sourced."""
        def put(*names: str) -> Path:
            folder = self._folder / names[0]
            folder.mkdir()
            for name in names:
                copy(self._folder / 'python', folder / name)
            return folder

        self._env['PATH'] = f'{put("uname")}:{self._env["PATH"]}'
        if ros:
            setup = self._folder / 'ros' / 'jazzy' / 'setup.bash'
            setup.parent.mkdir(parents=True)
            setup.write_text('export ROS_DISTRO=jazzy; true "$NOT_SET"\n'
                             f'PATH={put("ros2", "colcon", "python3")}:$PATH\n')

    def open_gate(self) -> None:
        self._events.with_name('events.gate').touch()

    def close(self) -> None:
        self.open_gate()
        for process in self._started:
            process.communicate(timeout=60)


@pytest.mark.parametrize(('gated', 'second', 'waits_for', 'called'), [
    ('venv', 'other', 'the set-up of another checkout',
     ['colcon', 'colcon', 'jazzy', 'pip', 'test', 'venv']),
    ('colcon', 'first', 'another build of this checkout',
     ['colcon', 'jazzy', 'pip', 'test', 'venv'])])
def test_a_second_run_says_what_it_waits_for_and_does_nothing_twice(
        tmp_path: Path, gated: str, second: str, waits_for: str, called: list[str]) -> None:
    checkouts = Checkouts(tmp_path, gated)
    try:
        runs = [checkouts.run('first')]
        checkouts.until_called(gated)
        runs.append(checkouts.run(second))
        assert f'waiting for {waits_for}' in first_words(runs[1])
        assert checkouts.called.count(gated) == 1
        checkouts.open_gate()
        assert [run.communicate(timeout=60)[0] for run in runs] == ['entered\n'] * 2
        assert sorted(checkouts.called) == called
    finally:
        checkouts.close()


def test_a_drone_takes_its_set_on_the_distribution_that_it_has(tmp_path: Path) -> None:
    checkouts = Checkouts(tmp_path, '')
    checkouts.become_a_drone(ros=True)
    try:
        out, err = checkouts.run('first', 'bash', '-c', 'echo $ROS_DISTRO').communicate(timeout=60)
        assert out.split() == ['jazzy'], err
        assert checkouts.called == ['venv', '--missing', 'drone', 'pip', 'colcon']
        assert 'installing packages for drone (jazzy)' in err and ' takes ' in err
    finally:
        checkouts.close()


def test_a_drone_without_ros_is_told_where_to_get_it(tmp_path: Path) -> None:
    checkouts = Checkouts(tmp_path, '')
    checkouts.become_a_drone(ros=False)
    try:
        _, err = checkouts.run('first').communicate(timeout=60)
        assert 'this is Linux aarch64. Install ROS 2 Jazzy' in err and not checkouts.called
    finally:
        checkouts.close()


def test_a_set_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    checkouts = Checkouts(tmp_path, '', OFFLOAD_PERCEPTION_SET='plane')
    try:
        _, err = checkouts.run('first').communicate(timeout=60)
        assert "no set 'plane'" in err and not checkouts.called
    finally:
        checkouts.close()


def test_a_command_that_runs_holds_up_no_other_one(tmp_path: Path) -> None:
    checkouts = Checkouts(tmp_path, '')
    try:
        running = checkouts.run('first', 'sh', '-c', 'echo runs; read line')
        assert running.stdout.readline() == 'runs\n'
        assert checkouts.run('first').communicate(timeout=60)[0] == 'entered\n'
        assert running.poll() is None and checkouts.called.count('colcon') == 1
    finally:
        checkouts.close()


@pytest.mark.parametrize('name', ['locked.txt', 'locked_kilted.txt'])
def test_every_package_is_installed_by_its_hash(name: str) -> None:
    lock = (SCRIPT.parents[1] / 'requirements' / name).read_text()
    packages = re.findall(r'^\S+==\S+.*$', lock, re.MULTILINE)
    hashed = re.findall(r'^\S+==.* \\\n    --hash=sha256:[0-9a-f]{64}\b', lock, re.MULTILINE)
    assert len(packages) == len(hashed) > 200
    assert re.search(r'pip" install .*\\\n *--no-deps --require-hashes', SCRIPT.read_text())
