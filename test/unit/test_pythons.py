"""The pinned setuptools builds on every Python that the README promises and this machine has."""

import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).parents[2]
PROMISED = ['3.11', '3.12', '3.13']


def python_of(wanted: str) -> str | None:
    """Return a Python of that version: on the PATH, or as pyenv keeps them beside each other."""
    candidates: list[str | Path | None] = [shutil.which(f'python{wanted}')]
    if pyenv := shutil.which('pyenv'):
        root = subprocess.run([pyenv, 'root'], capture_output=True, text=True).stdout.strip()
        candidates += sorted(Path(root).glob(f'versions/{wanted}.*/bin/python{wanted}'))
    for candidate in [c for c in candidates if c]:  # a pyenv shim may be there and not run
        if subprocess.run([candidate, '-c', ''], capture_output=True).returncode == 0:
            return str(candidate)
    return None


@pytest.mark.parametrize('wanted', PROMISED)
def test_setup_py_runs(wanted: str, tmp_path: Path) -> None:
    if (python := python_of(wanted)) is None:
        pytest.skip(f'no Python {wanted} on this machine')
    installed = Path(setuptools.__file__).parents[1]
    for name in ('setuptools', 'pkg_resources', '_distutils_hack',
                 f'setuptools-{setuptools.__version__}.dist-info'):  # these and nothing else
        (tmp_path / name).symlink_to(installed / name)
    done = subprocess.run(
        [python, '-W', 'ignore', 'setup.py', '-q', 'egg_info', '-e', str(tmp_path)], cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'offload_perception.egg-info' / 'entry_points.txt').is_file()


def test_the_environment_has_the_pinned_setuptools() -> None:
    lock = (ROOT / 'requirements' / 'locked.txt').read_text()
    assert f'\nsetuptools=={version("setuptools")} ' in lock
