"""tflite-runtime, in the environment that it needs: Python 3.11 with numpy below 2."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from offload_perception.preparation.prepare import BUNDLED

ROOT = Path(__file__).parents[3]
PYTHON = Path(os.environ.get('VIRTUAL_ENV', '/')).parent / 'tflite-runtime' / 'bin' / 'python'

pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason='bash scripts/tflite_runtime.sh '
                                'makes the environment for this test')
RUN = """
import json, sys
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.golden import golden_image
from offload_perception.runtime.open_network import open_network
artefact = Artefact.load(sys.argv[2])
network = open_network(artefact, 'cpu', sys.argv[1])
network.prepare(5)
xs = network.head(5, golden_image(artefact.input))
whole, = network.head(artefact.last, golden_image(artefact.input))
print(json.dumps({'ran': network.ran, 'describe': network.describe(), 'doubt': network.doubt,
                  'best': int(whole.argmax()), 'scores': network.tail(5, xs)[0].tolist()}))
"""


def run(runtime: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PYTHON, '-c', RUN, runtime, BUNDLED / 'aerial'], text=True,
                          capture_output=True,
                          env={'PYTHONPATH': str(ROOT), 'PATH': os.environ['PATH']})


@pytest.fixture(scope='module')
def found() -> Any:
    done = run('auto')
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_taken_where_it_is_the_one_installed_and_runs_the_network(found: Any) -> None:
    assert found['ran'] == 'tflite_runtime'
    assert max(found['scores']) > 0 and found['best'] == max(
        range(len(found['scores'])), key=found['scores'].__getitem__)


def test_its_older_kernels_are_told_with_numbers_and_not_refused(found: Any) -> None:
    assert 'golden run: differs at ' in found['describe']
    assert found['doubt'].startswith('tflite_runtime differs from the run when aerial was')


def test_another_runtime_by_name_says_what_to_install(found: Any) -> None:
    assert 'pip install ai-edge-litert' in run('litert').stderr
