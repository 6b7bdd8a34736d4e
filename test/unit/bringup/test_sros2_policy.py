"""The command that writes a policy of SROS2; `test/node/test_permissions.py` has the graph."""

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from offload_perception.bringup.graph import DRONE
from offload_perception.bringup.permissions import PERMISSIONS
from offload_perception.cli.sros2_policy import main

Policy = Callable[..., dict[str, dict[str, set[str]]]]


@pytest.fixture
def policy_of(capsys: pytest.CaptureFixture[str]) -> Policy:
    def run(*words: str) -> dict[str, dict[str, set[str]]]:
        """Return enclaves with their names by qualifier."""
        assert main(words) == 0
        root = ET.fromstring(capsys.readouterr().out)  # what this test has just written
        assert (root.tag, root.get('version')) == ('policy', '0.2.0')
        found: dict[str, dict[str, set[str]]] = {}
        for enclave in root.findall('enclaves/enclave'):
            profile, = enclave.findall('profiles/profile')
            path = f"{profile.get('ns')}/{profile.get('node')}".replace('//', '/')
            assert enclave.get('path') == path
            found[path] = {}
            for group in profile:
                (qualifier, allowed), = group.attrib.items()
                assert allowed == 'ALLOW' and group.tag in ('topics', 'services')
                found[path][qualifier] = {str(each.text) for each in group}
        return found
    return run


def test_every_node_has_its_permissions() -> None:
    assert {node.name for node in DRONE} == PERMISSIONS.keys()


def test_a_drone_may_use_its_servers_and_no_others(policy_of: Policy) -> None:
    policy = policy_of('drone', 'namespace:=d', 'server:=/a,/b', 'remote:=false')
    assert policy.keys() == {'/d/um25c', '/d/edge_inference'}
    edge = policy['/d/edge_inference']
    assert {n for n in edge['publish'] if n.endswith('features')} == {'/a/features', '/b/features'}
    assert '/d/remote_result' in edge['subscribe'] and 'request' not in edge
    assert not any('*' in name for names in edge.values() for name in names)


def test_what_the_arguments_choose_is_granted(policy_of: Policy) -> None:
    policy = policy_of('drone', 'server:=auto', 'image:=/front', 'meter:=battery:/bat:positive',
                       'flight_stack:=px4', 'flight_prefix:=/uav/fmu')
    assert '/*/features' in policy['/drone1/edge_inference']['publish']
    assert {'/front', '/front/compressed'} <= policy['/drone1/edge_inference']['subscribe']
    assert '/bat' in policy['/drone1/power']['subscribe']
    assert '/uav/fmu/out/vehicle_status*' in policy['/drone1/flight']['subscribe']


def test_a_server_answers_on_the_drones_own_topic_and_no_other(policy_of: Policy) -> None:
    server, = policy_of('server', 'server:=/s').values()
    assert {n for n in server['publish'] if '*' in n} == {'/*/remote_result'}
    assert '/s/features' in server['subscribe']


def test_the_recorder_of_a_fleet_hears_its_drones(policy_of: Policy) -> None:
    policy = policy_of('fleet', 'drones:=2', 'servers:=1', 'record:=true')
    assert {'/drone1/*', '/drone2/*', '/server1/status'} <= policy['/recorder']['subscribe']
    assert {'/drone2/edge_inference', '/server1/remote_inference', '/dashboard'} <= policy.keys()
