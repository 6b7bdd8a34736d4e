"""Split a network between a drone and a server: least energy within the deadline."""

from pkgutil import extend_path

# Under colcon the generated messages (`offload_perception.msg`) are installed beside this code;
# with the source folder first on the path this keeps them importable.
__path__ = extend_path(__path__, __name__)

__version__ = '0.1.0'
