"""No line of the package can run what a file or a message from outside brings along."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [p for folder in ('offload_perception', 'benchmarks', 'scripts', 'launch')
           for p in sorted((ROOT / folder).rglob('*.py'))]

# What loads it may run code, or have others run it.
IMPORTS = {'pickle', 'cPickle', '_pickle', 'marshal', 'shelve', 'dill', 'cloudpickle', 'joblib',
           'jsonpickle', 'multiprocessing.connection', 'code', 'codeop',
           'runpy', 'xmlrpc'}
CALLS = {'eval', 'exec', 'compile', '__import__', 'os.system', 'os.popen', 'subprocess.getoutput',
         'subprocess.getstatusoutput', 'yaml.load', 'yaml.load_all', 'yaml.unsafe_load',
         'yaml.full_load', 'torch.load', 'pandas.read_pickle', 'pd.read_pickle',
         'keras.config.enable_unsafe_deserialization', 'archive.extractall', 'tar.extractall',
         'tempfile.mktemp', 'ET.parse', 'ET.fromstring', 'ssl._create_unverified_context'}
ARGUMENTS = {'shell': True, 'allow_pickle': True, 'safe_mode': False, 'verify': False}

# Between a process and a child that it has started itself, over a pipe that nobody else has.
OWN_CHILDREN = {
    'offload_perception/preparation/apart.py': {'pickle', 'multiprocessing.connection'},
    'offload_perception/runtime/edgetpu_process.py': {'multiprocessing.connection'},
    'offload_perception/runtime/edgetpu_child.py': {'multiprocessing.connection'}}


def is_refused(module: str) -> bool:
    return module in IMPORTS or module.partition('.')[0] in IMPORTS


def problems(source: str) -> Iterator[str]:
    """Yield what is not allowed in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if is_refused(a.name))
        elif isinstance(node, ast.ImportFrom):
            if is_refused(str(node.module)):
                yield str(node.module)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            filtered = any(k.arg == 'filter' for k in node.keywords)
            if called in CALLS and not (called.endswith('extractall') and filtered):
                yield called
            for k in node.keywords:
                wrong = k.arg in ARGUMENTS and not (
                    isinstance(k.value, ast.Constant) and k.value.value is not ARGUMENTS[k.arg])
                if wrong:
                    yield f'{k.arg}={ast.unparse(k.value)}'


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r'`(test/[\w/]+\.py)(?:::(\w+))?`',
                       (ROOT / 'docs' / 'security.md').read_text())
    assert len(named) > 20
    missing = [f'{file}::{test}' for file, test in named
               if f'def {test}' not in (ROOT / file).read_text()]
    assert not missing


@pytest.mark.parametrize('path', MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_from_outside_is_run(path: Path) -> None:
    found = set(problems(path.read_text()))
    assert found == OWN_CHILDREN.get(str(path.relative_to(ROOT)), set())


@pytest.mark.parametrize('line', [
    'import pickle', 'from pickle import loads', 'import os; os.system(x)', 'eval(x)',
    'np.load(f, allow_pickle=True)', 'np.load(f, allow_pickle=trusted)', 'yaml.load(f)',
    'subprocess.run(x, shell=True)', 'load_model(f, safe_mode=False)', 'tar.extractall(x)'])
def test_the_check_above_sees_what_it_looks_for(line: str) -> None:
    assert list(problems(line))


@pytest.mark.parametrize('line', [
    'np.load(f)', 'np.load(f, allow_pickle=False)', 'yaml.safe_load(f)', 'model.evaluate(x)',
    "tar.extractall(x, filter='data')", 'load_model(f, safe_mode=True)', 're.compile(x)'])
def test_the_check_above_allows_what_is_safe(line: str) -> None:
    assert not list(problems(line))
