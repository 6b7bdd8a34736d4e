"""Print what pip has to add to a ROS 2 distribution, as a requirements file.

What the distribution has is left out, and what others of its packages were built against (numpy
under matplotlib and OpenCV) is pinned to its version: pip replaces none of it. Runs on the
distribution's own Python, without anything installed.
"""

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / 'requirements'
KEPT = ('numpy', 'scipy', 'matplotlib', 'scikit-learn', 'opencv-python', 'opencv-python-headless')
MODULES = {'opencv-python-headless': 'cv2', 'pillow': 'PIL', 'pyserial': 'serial',
           'ai-edge-litert': 'ai_edge_litert', 'tensorflow-cpu': 'tensorflow',
           'scikit-learn': 'sklearn', 'mcap-ros2-support': 'mcap_ros2', 'pyyaml': 'yaml',
           'pytest-xdist': 'xdist'}
_NAME = re.compile(r'[A-Za-z0-9._-]+')


def missing(lines: list[str]) -> list[str]:
    """Return the requirements in a file's lines whose module the distribution does not have."""
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith('#')]
    return [line for line in wanted
            if not _present(_NAME.findall(line)[0])]


def _present(name: str) -> bool:
    """Return whether a package is installed: by its name, or by its module where apt did that."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return find_spec(MODULES.get(name, name)) is not None


def pins() -> list[str]:
    """Return requirements that keep what the distribution has."""
    found = []
    for name in KEPT:
        try:
            found.append(f'{name}=={version(name)}')
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Print the file."""
    files = [REQUIREMENTS / 'package.in', REQUIREMENTS / 'test.in']
    lines = [line for file in files for line in file.read_text().splitlines()]
    print('\n'.join([*pins(), *missing(lines)]))


if __name__ == '__main__':
    main()
