"""The optional MCAP libraries, imported when they are needed."""

from importlib import import_module
from types import ModuleType

from offload_perception.errors import BagError

_REMEDY = 'bags need the MCAP libraries: pip install "mcap>=1.6" mcap-ros2-support'


class MissingLibrary(BagError):
    """A library that a bag needs is not installed, or is too old."""


def _load(name: str, remedy: str = _REMEDY) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as e:
        raise MissingLibrary(f'{remedy} ({e})') from e


def load_mcap() -> ModuleType:
    """Return the module with MCAP's Writer; raises BagError if it is absent or too old."""
    module = _load('mcap.writer')
    if not hasattr(module.Writer, 'flush'):  # came with 1.6; without it a crash costs a chunk
        raise MissingLibrary(f'{_REMEDY} (an older mcap is installed)')
    return module


def load_stream_reader() -> ModuleType:
    """Return the module with MCAP's StreamReader; raises BagError if it is absent."""
    return _load('mcap.stream_reader')


def load_records() -> ModuleType:
    """Return the module with the records of MCAP; raises BagError if it is absent."""
    return _load('mcap.records')


def load_rosbag2() -> ModuleType:
    """Return the module that reads sqlite3 bags; raises BagError if it is absent."""
    return _load('rosbags.rosbag2', 'sqlite3 bags need rosbags: pip install rosbags')


def load_lz4() -> ModuleType:
    """Return the module of LZ4 frames; raises BagError if it is absent."""
    return _load('lz4.frame', 'this bag needs lz4: pip install lz4')


def load_zstandard() -> ModuleType:
    """Return the module of zstd frames; raises BagError if it is absent."""
    return _load('zstandard', 'this bag needs zstandard: pip install zstandard')


def load_decoder() -> ModuleType:
    """Return the module with the decoder of ROS 2 messages; raises BagError if it is absent."""
    return _load('mcap_ros2.decoder')
