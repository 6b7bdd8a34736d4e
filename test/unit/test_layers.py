"""Folders form the layers that docs/architecture.md draws: imports only point down."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = 'offload_perception'
GROUND = 'ground'


def layers() -> list[set[str]]:
    """Return the folders of each layer, from the ground up, as the page lists them."""
    page = (ROOT / 'docs' / 'architecture.md').read_text()
    block = re.search(r'```layers\n(.*?)```', page, re.DOTALL)
    assert block, 'docs/architecture.md has lost its block of layers'
    return [set(line.split()) for line in reversed(block[1].splitlines())]


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


MODULES = modules()


def nodes_of(tree: ast.AST, typing_too: bool) -> Iterator[ast.AST]:
    """Yield the nodes of a syntax tree, those below `if TYPE_CHECKING` only if asked to."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == 'TYPE_CHECKING'
        if typing_too or not for_types:
            yield from nodes_of(child, typing_too)


def imports(name: str, typing_too: bool = True) -> Iterator[str]:
    """Yield what a module imports, also inside functions: dotted names."""
    for node in nodes_of(ast.parse(MODULES[name].read_text()), typing_too):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{name} has a relative import'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def module_of(dotted: str) -> str | None:
    """Return the module of this package that `dotted` is, or is in; None of others."""
    while dotted and dotted not in MODULES:
        dotted = dotted.rpartition('.')[0]
    return dotted or None


def unit(module: str) -> str:
    """Return the folder of a module; those at the top level are the ground."""
    parts = module.split('.')
    return parts[1] if len(parts) > 1 and (ROOT / PACKAGE / parts[1]).is_dir() else GROUND


def edges(typing_too: bool = True) -> dict[str, set[str]]:
    """Return which modules of the package each module imports."""
    return {name: {found for dotted in imports(name, typing_too)
                   if (found := module_of(dotted)) and found not in (name, PACKAGE)}
            for name in MODULES}


EDGES = edges()


def test_the_page_names_every_folder_once() -> None:
    listed = [folder for layer in layers() for folder in layer]
    assert sorted(listed) == sorted({unit(name) for name in MODULES})


@pytest.mark.parametrize('name', MODULES)
def test_a_module_imports_only_from_layers_below_its_own(name: str) -> None:
    height = {folder: i for i, layer in enumerate(layers()) for folder in layer}
    up = {target for target in EDGES[name] if unit(target) != unit(name)
          and height[unit(target)] >= height[unit(name)]}
    assert not up, f'{name} ({unit(name)}) imports from its own layer or one above'


def test_no_modules_import_each_other_in_a_circle() -> None:
    packages = {name for name, path in MODULES.items() if path.name == '__init__.py'}
    inner = {name: {target for target in targets if target not in packages}
             for name, targets in edges(typing_too=False).items() if name not in packages}
    TopologicalSorter(inner).prepare()  # CycleError names them


def test_a_module_name_is_used_once() -> None:
    """Nodes and commands are named after their executables, and may share a name with others."""
    own = [name.rpartition('.')[2] for name, path in MODULES.items()
           if path.name != '__init__.py' and unit(name) not in ('nodes', 'cli')]
    assert not [name for name, count in Counter(own).items() if count > 1]
