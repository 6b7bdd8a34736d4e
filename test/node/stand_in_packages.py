"""Builds stand-ins of message packages that are not installed, and makes them importable.

A build takes 20 s of processor time, so it is kept in the cache, by what it was made from.
"""

import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent / 'stand_in_messages'
PACKAGES = ('mavros_msgs', 'px4_msgs', 'vision_msgs')
_MANIFEST = """<package format="3"><name>{0}</name><version>0.0.0</version>
<description>stand-in for tests</description>
<maintainer email="maintainers@example.com">offload_perception</maintainer>
<license>Apache-2.0</license><depend>std_msgs</depend>
<member_of_group>rosidl_interface_packages</member_of_group>
<export><build_type>ament_cmake</build_type></export></package>
"""
# Only what Python needs: without the C++ generators it takes half the time.
_CMAKE = """cmake_minimum_required(VERSION 3.20)
project({0} C CXX)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
file(GLOB messages RELATIVE ${{CMAKE_CURRENT_SOURCE_DIR}} msg/*.msg)
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX cpp)
rosidl_generate_interfaces({0} ${{messages}} DEPENDENCIES std_msgs)
ament_package()
"""


def provide() -> list[str]:
    """Make the packages that are missing importable; return their names."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        folder = _cache() / f'stand_ins-{_key(missing)}'
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / 'lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test runs builds
            if not (folder / 'complete').exists():
                _build(folder, missing)
                (folder / 'complete').touch()
        _enter(folder / 'install')
    return missing


def _cache() -> Path:
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home) / 'offload_perception'


def _key(names: list[str]) -> str:
    """Return a key of everything that a build depends on."""
    files = [Path(__file__), *(p for n in names for p in sorted((FOLDER / n).iterdir()))]
    return sha256(b''.join([sys.prefix.encode(), sys.version.encode(),
                            *(p.read_bytes() for p in files)])).hexdigest()[:12]


def _write(package: Path, name: str) -> None:
    shutil.copytree(FOLDER / name, package / 'msg', dirs_exist_ok=True)
    (package / 'package.xml').write_text(_MANIFEST.format(name))
    (package / 'CMakeLists.txt').write_text(_CMAKE.format(name))


def _build(folder: Path, names: list[str]) -> None:
    for name in names:
        _write(folder / 'src' / name, name)
    done = subprocess.run(
        ['colcon', '--log-base', 'log', 'build', '--merge-install', '--event-handlers',
         'console_direct+', '--cmake-args', f'-DPython3_EXECUTABLE={sys.executable}', '-Wno-dev',
         f'-DCMAKE_INSTALL_RPATH={folder / "install" / "lib"}', '-DCMAKE_C_FLAGS=-O0',
         '-DCMAKE_CXX_FLAGS=-O0'],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-5000:]


def _enter(install: Path) -> None:
    """Do for this process what sourcing the workspace does for a shell."""
    site, = install.glob('lib/python*/site-packages')
    sys.path.append(str(site))
    for name, path in (('LD_LIBRARY_PATH', install / 'lib'), ('AMENT_PREFIX_PATH', install),
                       ('PYTHONPATH', site)):
        os.environ[name] = f'{path}{os.pathsep}{os.environ.get(name, "")}'
    invalidate_caches()
    # The loader took LD_LIBRARY_PATH when this process began: it finds what is loaded already.
    for library in sorted((install / 'lib').glob('*.so')):
        ctypes.CDLL(str(library))
