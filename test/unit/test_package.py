import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

import pytest

import offload_perception
from offload_perception import executables

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'offload_perception'
MODULES = [p for p in sorted(PACKAGE.rglob('*.py')) if 'nodes' not in p.parts]


def test_the_version_is_the_same_everywhere() -> None:
    versions = {
        'setup.py': re.findall(r"version='([^']+)'", (ROOT / 'setup.py').read_text())[0],
        'package.xml': ET.parse(ROOT / 'package.xml').findtext('version'),
        'CMakeLists.txt': re.findall(r'VERSION ([\d.]+) LANGUAGES',
                                     (ROOT / 'CMakeLists.txt').read_text())[0]}
    assert set(versions.values()) == {offload_perception.__version__}, versions


def imported(tree: ast.AST) -> set[str]:
    """Return every module that a file imports, at the top or inside a function."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f'{node.module}.{alias.name}' for alias in node.names} | {node.module or ''}
    return names


def is_ros(module: str) -> bool:
    top = module.split('.')[0]
    return (top in ('rclpy', 'rosidl_runtime_py') or top.endswith(('_msgs', '_interfaces'))
            or module.startswith('offload_perception.msg'))


@pytest.mark.parametrize('path', MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_nodes_need_ros(path: Path) -> None:
    found = {m for m in imported(ast.parse(path.read_text())) if is_ros(m)}
    assert not found


def test_the_check_above_sees_ros_where_it_is() -> None:
    tree = ast.parse((PACKAGE / 'nodes' / 'convert.py').read_text())
    assert {m for m in imported(tree) if is_ros(m)}


WITHOUT_ROSDEP_KEY = ('ai_edge_litert', 'keras', 'lz4', 'mcap', 'mcap_ros2', 'openvino', 'rosbags',
                      'tensorflow', 'zstandard')
BUILT = find_spec('rclpy') and find_spec('offload_perception.msg')


def test_every_module_can_be_imported_with_what_rosdep_installs() -> None:
    modules = {'.'.join(p.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
               for p in (PACKAGE.rglob('*.py') if BUILT else MODULES)}
    optional = {'offload_perception.serving.ray_replica'}  # runs inside of Ray
    if find_spec('launch_ros') is None:
        optional.add('offload_perception.bringup.launch_description')
    script = [f'import sys; sys.modules |= dict.fromkeys({WITHOUT_ROSDEP_KEY})',
              *(f'import {name}' for name in sorted(modules - optional))]
    done = subprocess.run([sys.executable, '-c', '\n'.join(script)], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr


FIELD = re.compile(r'^(?P<type>[\w/]+(?:\[\d*\])?)\s+(?P<name>[a-z]\w*)\s*(?P<comment>#.*)?$')
FIELDS = [pytest.param(p.name, m['type'], m['name'], m['comment'] or '',
                       id=f'{p.stem}.{m["name"]}')
          for p in sorted((ROOT / 'msg').glob('*.msg'))
          for m in map(FIELD.match, p.read_text().splitlines()) if m]
SELF_EXPLAINING = {'status', 'outcome'}  # the constants above them are their comment


@pytest.mark.parametrize(('file', 'kind', 'name', 'comment'), FIELDS)
def test_every_field_is_explained_and_every_quantity_has_a_unit(
        file: str, kind: str, name: str, comment: str) -> None:
    assert len(comment) > 4 or name in SELF_EXPLAINING
    if kind.startswith('float'):
        assert re.search(r'\[[\w/ ]+\]|0 \.\. 1|real value', comment), f'{file}: unit of {name}?'


def test_all_messages_are_there() -> None:
    assert {p.stem for p in (ROOT / 'msg').glob('*.msg')} == {
        'FeatureTensor', 'Classification', 'FrameLatency', 'FrameEnergy', 'PowerSample',
        'OffloadDecision', 'ServerStatus', 'ServerBeat', 'MissionPolicy',
        'GeotaggedClassification', 'TensorPart', 'RemoteResult', 'Detection', 'Detections',
        'OutputTensors', 'ServedDrone', 'ServedDrones'}


def entry_points() -> list[tuple[str, str]]:
    """Return name and module of every executable, as setup.py computes them."""
    tree = ast.parse((ROOT / 'setup.py').read_text())
    lists = {t.id: ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign)
             for t in n.targets if isinstance(t, ast.Name)}
    return [*((n, f'nodes.{n.removesuffix("_node")}') for n in lists['NODES']),
            *((n, f'cli.{n}') for n in lists['COMMANDS'])]


@pytest.mark.parametrize(('name', 'module'), entry_points())
def test_every_executable_has_a_main(name: str, module: str) -> None:
    path = PACKAGE.joinpath(*module.split('.')).with_suffix('.py')
    assert path.is_file(), f'{name} names {module}, which is missing'
    body = ast.parse(path.read_text()).body
    defined = {n.name for n in body if isinstance(n, ast.FunctionDef)}
    assigned = {getattr(t, 'id', '') for n in body if isinstance(n, ast.Assign) for t in n.targets}
    assert 'main' in defined | assigned
    assert getattr(executables, name).args == (module,)


@pytest.mark.parametrize('name', sorted(p.stem for p in (PACKAGE / 'cli').glob('*.py')
                                        if 'def main(' in p.read_text()))
def test_every_command_is_installed_and_imports(name: str) -> None:
    assert name in dict(entry_points())
    assert find_spec(f'offload_perception.cli.{name}')
    __import__(f'offload_perception.cli.{name}')
