import pytest

for library in ('mcap_ros2', 'rosbags', 'matplotlib'):
    pytest.importorskip(library)
