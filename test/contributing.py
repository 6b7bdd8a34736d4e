"""The examples of CONTRIBUTING.md, applied to the package as their first lines say."""

import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'CONTRIBUTING.md').read_text()


def blocks(title: str) -> list[tuple[str, str, str]]:
    """Return file, table (or '') and text of each example of a section."""
    section = PAGE.split(f'### {title}\n')[1].split('\n### ')[0]
    return re.findall(r'```python\n# (\S+?)(?:, in (\w+))?\n(.*?)```', section, re.DOTALL)


def apply(title: str, monkeypatch: Any) -> dict[str, Any]:
    """Do what a section says; return what its tables hold then, by their names."""
    tables, new = {}, {}
    for file, table, text in blocks(title):
        name = file.removesuffix('.py').replace('/', '.')
        if file == 'setup.py':
            assert re.search(rf'^{table} = \[', (ROOT / file).read_text(), re.MULTILINE)
            tables[table] = eval(f'[{text}]')
        elif table:
            module = import_module(name)
            tables[table] = _enter(module, table, text, vars(module) | new, monkeypatch)
        elif (ROOT / file).exists():
            _extend(import_module(name), text, monkeypatch)
            new |= {k: v for k, v in vars(import_module(name)).items() if f'class {k}' in text}
        else:
            new[name.rpartition('.')[2]] = _module(name, text, monkeypatch)
    return tables


def _enter(module: ModuleType, name: str, text: str, names: dict[str, Any],
           monkeypatch: Any) -> Any:
    """Put an entry into a table, before its last one; return the table."""
    table = getattr(module, name)
    if isinstance(table, dict):
        (key, value), = eval(f'{{{text}}}', names).items()
        monkeypatch.setitem(table, key, value)
    else:
        entry, = eval(f'({text})', names)
        table = (*table[:-1], entry, table[-1])
        monkeypatch.setattr(module, name, table)
    return table


def _extend(module: ModuleType, text: str, monkeypatch: Any) -> None:
    names = dict(vars(module))
    exec(text, names)
    for name in names.keys() - vars(module).keys():
        monkeypatch.setattr(module, name, names[name], raising=False)


def _module(name: str, text: str, monkeypatch: Any) -> ModuleType:
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    parent, _, own = name.rpartition('.')
    monkeypatch.setattr(import_module(parent), own, module, raising=False)
    exec(compile(text, name, 'exec'), vars(module))
    return module
