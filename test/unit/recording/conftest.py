import pytest

for library in ('mcap', 'mcap_ros2'):
    pytest.importorskip(library)
