"""With a keystore a node takes part only with the credentials of its enclave."""

from collections.abc import Callable
from pathlib import Path

import pytest
from graph.command import Command

FILES = ('identity_ca.cert.pem', 'cert.pem', 'key.pem', 'permissions_ca.cert.pem',
         'governance.p7s', 'permissions.p7s')


@pytest.mark.parametrize(('enclave', 'why'), [
    ('', 'enclaves/drone1/camera'),  # the folder that is missing
    ('enclaves/drone1/camera', 'securit|certificate|failed')])
def test_a_node_without_valid_credentials_does_not_start(
        run: Callable[..., Command], photos: str, tmp_path: Path, enclave: str, why: str) -> None:
    """The Fast DDS of the wheels has no DDS security: it refuses any credentials."""
    folder = tmp_path / enclave
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_text('no credentials')
    node = run('camera_node', '--ros-args', '--enclave', '/drone1/camera', '-r', '__ns:=/drone1',
               '-p', f'source:={photos}',
               env={'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce',
                    'ROS_SECURITY_KEYSTORE': str(tmp_path)})
    assert node.wait() == 1
    node.said(f'error: .*{why}')
    assert 'showing' not in node.output
