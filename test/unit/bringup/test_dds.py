import fcntl
import os
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from offload_perception.bringup.dds import (
    PROFILE_VARIABLES,
    RANGE_VARIABLE,
    YOUNG_S,
    discovery_environment,
    remove_leftovers,
    stay_on_this_host,
    with_profile,
)
from offload_perception.errors import ConfigError

BYTES = 1000
CONFIG = Path(__file__).parents[3] / 'config'


def flat(file: str) -> dict[str, str | None]:
    """Return the texts of an XML file by the path of their elements."""
    def walk(element: ET.Element, path: str) -> Iterator[tuple[str, str | None]]:
        path += '/' + element.tag.rpartition('}')[2] + str(sorted(element.attrib.items()))
        yield path, (element.text or '').strip()
        for child in element:
            yield from walk(child, path)
    return dict(walk(ET.parse(CONFIG / file).getroot(), ''))


def test_the_file_of_peers_is_the_packages_profile_with_addresses() -> None:
    ours, peers = flat('fastdds.xml'), flat('static_peers.xml')
    changed = {path for path in ours if peers.get(path) != ours[path]}
    assert {path.rpartition('/')[2] for path in changed} == {'maxInitialPeersRange[]'}
    assert all('/builtin[]' in path for path in peers.keys() - ours.keys())


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of an installation of this package's configuration."""
    share = tmp_path / 'share' / 'offload_perception'
    share.mkdir(parents=True)
    (share / 'config').symlink_to(CONFIG)
    return {'AMENT_PREFIX_PATH': str(tmp_path)}


def test_discovery_by_multicast_keeps_the_profile(installed: dict[str, str]) -> None:
    found = discovery_environment('subnet', installed)
    assert found == {RANGE_VARIABLE: 'SUBNET', **discovery_environment('', installed)}
    assert set(found) == {RANGE_VARIABLE, *with_profile(CONFIG)}


def test_discovery_of_addresses_puts_them_in_the_file_of_peers(installed: dict[str, str]) -> None:
    found = discovery_environment('10.0.0.7, 10.0.0.8', installed)
    file = ET.parse(found[PROFILE_VARIABLES[0]])
    assert [e.text for e in file.iter() if e.tag.endswith('}address')] == [
        '127.0.0.1', '10.0.0.7', '10.0.0.8']
    assert found[RANGE_VARIABLE] == 'SYSTEM_DEFAULT'


@pytest.mark.parametrize('discovery', ['', '10.0.0.7'])
def test_fast_dds_3_gets_the_profile_in_its_own_terms(installed: dict[str, str],
                                                      discovery: str) -> None:
    found = discovery_environment(discovery, {**installed, 'ROS_DISTRO': 'kilted'})
    older, newer = PROFILE_VARIABLES
    assert older not in found
    names = {e.tag.rpartition('}')[2] for e in ET.parse(found[newer]).iter()}
    assert 'heartbeat_period' in names and 'heartbeatPeriod' not in names


@pytest.mark.parametrize('text', ['everyone', '10.0.0', '10.0.0.7;10.0.0.8', '10.0.0.7,',
                                  '<a/>', '::1'])
def test_discovery_of_something_else_is_refused(text: str, installed: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match='subnet'):
        discovery_environment(text, installed)


def test_discovery_of_addresses_replaces_no_profile_of_the_users(
        installed: dict[str, str]) -> None:
    for name in PROFILE_VARIABLES:
        with pytest.raises(ConfigError, match=f'{name} is set'):
            discovery_environment('10.0.0.7', {**installed, name: '/my.xml'})
    with pytest.raises(ConfigError, match='source the workspace'):
        discovery_environment('10.0.0.7', {})


def test_the_kernel_settings_grant_what_the_profile_asks_for() -> None:
    lines = (CONFIG / 'sysctl.conf').read_text().splitlines()
    granted = dict(line.split(' = ') for line in lines if line and not line.startswith('#'))
    asked = {path.rpartition('/')[2]: text for path, text in flat('fastdds.xml').items()}
    assert granted['net.core.rmem_max'] == asked['receiveBufferSize[]']
    assert granted['net.core.wmem_max'] == asked['sendBufferSize[]']


@pytest.fixture(params=['fastrtps', 'fastdds'])
def segment(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Make a segment as Fast DDS 2 or 3 names it, with the file it locks; return both."""
    def make(number: int, *, age_s: float = 2 * YOUNG_S) -> tuple[Path, Path]:
        made = tmp_path / f'{request.param}_{number:016x}'
        made.write_bytes(bytes(BYTES))
        lock = tmp_path / f'{made.name}_el'
        lock.touch()
        os.utime(lock, (time.time() - age_s,) * 2)
        return made, lock
    return make


@contextmanager
def held(lock: Path) -> Iterator[Any]:
    with open(lock) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_nodes_are_found_on_this_host_alone_unless_the_user_says_otherwise(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RANGE_VARIABLE)
    stay_on_this_host()
    assert os.environ[RANGE_VARIABLE] == 'LOCALHOST'
    monkeypatch.setenv(RANGE_VARIABLE, 'SUBNET')
    stay_on_this_host()
    assert os.environ[RANGE_VARIABLE] == 'SUBNET'


def test_what_nobody_holds_is_removed(tmp_path: Path, segment: Callable[..., Any]) -> None:
    left, used = segment(1), segment(2)
    with held(used[1]):
        assert remove_leftovers(tmp_path) == BYTES
        assert not any(f.exists() for f in left) and all(f.exists() for f in used)
    assert remove_leftovers(tmp_path) == BYTES and not list(tmp_path.iterdir())


def test_what_has_just_been_made_may_not_be_locked_yet(tmp_path: Path,
                                                       segment: Callable[..., Any]) -> None:
    young = segment(1, age_s=0.0)
    assert remove_leftovers(tmp_path) == 0 and all(f.exists() for f in young)


def test_other_files_are_nobodys_business(tmp_path: Path) -> None:
    names = ['fastrtps_port7411', 'fastrtps_port7411_el', 'fastrtps_0011223344556677',
             'my_fastrtps_0011223344556677_el', 'fastrtps_0011223344556677_el.bak', 'notes_el']
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0.0, 0.0))
    assert remove_leftovers(tmp_path) == 0
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted(names)


def test_a_lock_whose_segment_is_gone_goes_too(tmp_path: Path,
                                               segment: Callable[..., Any]) -> None:
    made, lock = segment(1)
    made.unlink()
    assert remove_leftovers(tmp_path) == 0 and not lock.exists()


def test_a_computer_without_shared_memory_has_no_leftovers(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / 'shm') == 0
