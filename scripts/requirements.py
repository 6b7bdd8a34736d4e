"""Print the locked requirements of some sets, with all that they depend on, for pip.

    python3 scripts/requirements.py --missing drone > wanted.txt
    pip install --no-deps --require-hashes -r wanted.txt

A set is a file of requirements/ without `.in`. With --missing what this Python has, of a ROS 2
distribution say, is left out, with what that depends on: pip replaces none of it. Runs on the
distribution's own Python, without anything installed.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

REQUIREMENTS = Path(__file__).parents[1] / 'requirements'
LOCK, KILTED_LOCK = REQUIREMENTS / 'locked.txt', REQUIREMENTS / 'locked_kilted.txt'
MODULES = {'opencv-python-headless': 'cv2', 'pillow': 'PIL', 'pyserial': 'serial',
           'ai-edge-litert': 'ai_edge_litert', 'tensorflow-cpu': 'tensorflow',
           'scikit-learn': 'sklearn', 'mcap-ros2-support': 'mcap_ros2', 'pyyaml': 'yaml',
           'pytest-xdist': 'xdist'}
_ENTRY = re.compile(r'^(?P<text>(?P<name>[\w.-]+)(?:\[.*\])?==.*(?:\n    --hash=.*)+)'
                    r'\n    # via (?P<via>.*)$', re.MULTILINE)
_INCLUDED = re.compile(r'^-r (\w+)\.in$', re.MULTILINE)


class Entry(NamedTuple):
    """A line of the lock with its hashes, the package's name, and who requires it.

    One is `-r requirements/SET.in`, or the name of another package.
    """

    name: str
    text: str
    required_by: frozenset[str]


def read_lock(text: str) -> list[Entry]:
    """Return the entries of a lock that `uv pip compile --annotation-style=line` wrote."""
    return [Entry(normal(m['name']), m['text'],
                  frozenset(re.sub(r'\[.*\]', '', via.strip()) for via in m['via'].split(',')))
            for m in _ENTRY.finditer(text)]


def needed(entries: Iterable[Entry], sets: Iterable[str],
           present: Callable[[str], bool] = lambda name: False) -> list[Entry]:
    """Return the entries of the sets, with all that they depend on, but for what is present."""
    lacking = [entry for entry in entries if not present(entry.name)]
    wanted = {f'-r requirements/{name}.in' for name in included(sets)}
    while more := {e.name for e in lacking if e.required_by & wanted} - wanted:
        wanted |= more
    return [entry for entry in lacking if entry.name in wanted]


def included(sets: Iterable[str]) -> Iterator[str]:
    """Yield the sets, each with those that its file includes."""
    for name in sets:
        yield name
        yield from included(_INCLUDED.findall((REQUIREMENTS / f'{name}.in').read_text()))


def is_present(name: str) -> bool:
    """Return whether a package is installed: by its name, or by its module where apt did that."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return find_spec(MODULES.get(name, name)) is not None


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r'[-_.]+', '-', name).lower()


def main() -> None:
    """Print the requirements."""
    known = sorted(file.stem for file in REQUIREMENTS.glob('*.in'))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('sets', nargs='+', choices=known, metavar='SET', help=', '.join(known))
    parser.add_argument('--missing', action='store_true', help='leave out what is installed')
    parser.add_argument('--without', action='append', default=[], metavar='PACKAGE',
                        help='leave that out, with what only it depends on')
    args = parser.parse_args()

    def left_out(name: str) -> bool:
        return name in args.without or (args.missing and is_present(name))

    lock = KILTED_LOCK if 'kilted' in args.sets else LOCK
    for entry in needed(read_lock(lock.read_text()), args.sets, left_out):
        print(entry.text)


if __name__ == '__main__':
    main()
