"""The sets of requirements: what each holds, and that it installs where that is promised."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'scripts' / 'requirements.py'
SETS = ('drone', 'server', 'tools', 'test')
NO_TENSORFLOW = '3.14'  # it has no wheels of TensorFlow yet
PROMISED = [('3.11', 'x86_64'), ('3.12', 'x86_64'), ('3.13', 'x86_64'), ('3.14', 'x86_64'),
            ('3.11', 'aarch64'), ('3.12', 'aarch64'), ('3.13', 'aarch64'), ('3.14', 'aarch64')]
# As Ubuntu 24.04 has them, the platform of ROS 2 Jazzy; OpenCV without a package's metadata.
UBUNTU = {'numpy': '1.26.4', 'setuptools': '68.1.2', 'PyYAML': '6.0.1', 'pillow': '10.2.0',
          'psutil': '5.9.8', 'pyserial': '3.5', 'packaging': '24.0', 'typing_extensions': '4.10.0',
          'aiohttp': '3.9.1', 'attrs': '23.2.0', 'rich': '13.7.1', 'flatbuffers': '23.5.26'}
OPENCV = 'opencv-python-headless==4.6.0.66'

LOCK = """
a==1 ; platform_machine == 'x86_64' \\
    --hash=sha256:1 \\
    --hash=sha256:2
    # via -r requirements/server.in
B.c[extra]==2 \\
    --hash=sha256:3
    # via -r requirements/drone.in, a
d==3 \\
    --hash=sha256:4
    # via b-c
e==4 \\
    --hash=sha256:5
    # via d[more]
f==5 \\
    --hash=sha256:6
    # via -r requirements/tools.in
"""


def names(printed: str) -> set[str]:
    return set(re.findall(r'^([\w.-]+)', printed, re.MULTILINE))


def locked(*arguments: str, **env: str) -> str:
    """Return what the script prints."""
    return subprocess.run([sys.executable, SCRIPT, *arguments], check=True, capture_output=True,
                          text=True, env={**os.environ, **env}).stdout


def test_a_set_comes_with_its_hashes_and_all_that_it_depends_on() -> None:
    script = runpy.run_path(str(SCRIPT))
    entries = script['read_lock'](LOCK)
    needed = script['needed']
    assert [e.name for e in needed(entries, ['drone'])] == ['b-c', 'd', 'e']
    assert [e.name for e in needed(entries, ['server'])] == ['a', 'b-c', 'd', 'e']
    assert entries[0].text == '\n'.join(LOCK.splitlines()[1:4])
    assert [e.name for e in needed(entries, ['drone'], lambda name: name == 'd')] == ['b-c']


def test_a_drone_gets_neither_training_nor_tests() -> None:
    drone = names(locked('drone'))
    assert {'ai-edge-litert', 'numpy', 'zstandard', 'lz4'} <= drone
    heavy = {'tensorflow', 'tensorflow-cpu', 'openvino', 'matplotlib', 'scikit-learn', 'pytest'}
    assert not heavy & drone and heavy <= names(locked('test'))
    assert drone < names(locked('server')) < names(locked('tools')) < names(locked('test'))


def test_kilted_differs_from_jazzy_in_ros_alone() -> None:
    jazzy, kilted = (set(re.findall(r'^\S+==\S+', locked(ros, 'test'), re.MULTILINE))
                     for ros in ('jazzy', 'kilted'))
    changed = jazzy ^ kilted
    assert all(name.startswith('ros-') for name in changed)
    assert any(name.startswith('ros-kilted-rclpy==') for name in kilted - jazzy)
    assert not any('jazzy' in name for name in kilted)


def test_what_a_distribution_has_is_left_alone(tmp_path: Path) -> None:
    for name, version in UBUNTU.items():
        folder = tmp_path / f'{name}-{version}.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\n'
                                         f'Version: {version}\n')
    (tmp_path / 'cv2').mkdir()
    (tmp_path / 'cv2' / '__init__.py').touch()
    out = subprocess.run([sys.executable, '-S', SCRIPT, '--missing', 'drone'], check=True,
                         capture_output=True, text=True,
                         env={'PYTHONPATH': str(tmp_path)}).stdout
    script = runpy.run_path(str(SCRIPT))
    assert {'ai-edge-litert', 'mcap', 'zstandard'} <= names(out)
    assert not {script['normal'](name) for name in UBUNTU} & names(out)
    assert 'opencv-python-headless' not in names(out)


def test_nothing_is_missing_in_a_complete_environment() -> None:
    assert names(locked('--missing', 'test')) <= {'tensorflow'}  # it is there as tensorflow-cpu


def uv(*words: str | Path, **env: str) -> str:
    """Run uv; skip where it is not installed or reaches no index."""
    if shutil.which('uv') is None:
        pytest.skip('needs uv')
    done = subprocess.run(['uv', '--no-progress', *map(str, words)], capture_output=True,
                          text=True, env={**os.environ, **env})
    if 'error sending request' in done.stderr or 'Failed to fetch' in done.stderr:
        pytest.skip(f'no package index here: {done.stderr.strip().splitlines()[-1]}')
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(('python', 'machine'), PROMISED)
def test_every_set_has_wheels_for_every_promised_python(python: str, machine: str,
                                                        tmp_path: Path) -> None:
    file = tmp_path / 'wanted.txt'
    for name in SETS:
        file.write_text(locked(name))
        said = uv('pip', 'install', '--dry-run', '--target', tmp_path / 'site', '--no-deps',
                  '--require-hashes', '--only-binary', ':all:', '--python-version', python,
                  '--python-platform', f'{machine}-manylinux_2_28', '-r', file)
        tensorflow = re.search(r'^ \+ tensorflow', said, re.MULTILINE)
        assert bool(tensorflow) == (name in ('tools', 'test') and python != NO_TENSORFLOW)


RUN = """
import numpy as np
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.open_network import open_network
network = open_network(prepare('aerial'), 'cpu')
print(network.head(3, np.zeros((64, 64, 3), np.uint8))[0].shape)
"""


def test_the_drone_set_works_beside_the_packages_of_a_distribution(tmp_path: Path) -> None:
    """Nothing is replaced, all that is missing fits, and the network runs."""
    venv, file = tmp_path / 'venv', tmp_path / 'wanted.txt'
    uv('venv', '--python', sys.executable, venv)
    python = venv / 'bin' / 'python'
    pins = [f'{name}=={version}' for name, version in UBUNTU.items()]
    uv('pip', 'install', '--python', python, OPENCV, *pins)
    before = uv('pip', 'freeze', '--python', python)
    file.write_text(subprocess.run([python, SCRIPT, '--missing', 'drone'], check=True,
                                   capture_output=True, text=True).stdout)
    uv('pip', 'install', '--python', python, '--no-deps', '--require-hashes', '-r', file)
    assert set(before.splitlines()) < set(uv('pip', 'freeze', '--python', python).splitlines())
    uv('pip', 'check', '--python', python)
    done = subprocess.run([python, '-c', RUN], capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.stdout == '(32, 32, 8)\n', done.stderr
