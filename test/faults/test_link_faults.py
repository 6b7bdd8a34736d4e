"""The link fails, slows down, loses, delays, doubles and reorders packets."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults.cable import PERFECT, Cable, Link
from faults.flight import LONG, TIMES, Flight, pause
from graph.command import FLYING, Command

from offload_perception.network.artefact import Artefact

REMOTE = FLYING + r'.*split (?!predictions)'
AUTO = 'split:=auto', 'deadline:=2.0'
CASES = {
    'link down for 5 s': [(Link(up=False), 5.0)],
    'link up and down every 0.5 s, 5 times': [(Link(up=False), 0.5), (PERFECT, 0.5)] * 5,
    'link of 20, 5, 1 Mbit/s for 2 s each': [(Link(bit_s=mbit * 1e6), 2.0)
                                             for mbit in (20, 5, 1)],
    'a tenth of the packets lost for 5 s': [(Link(loss=0.1), 5.0)],
    'nearly half of the packets lost for 5 s': [(Link(loss=0.4), 5.0)],
    'delay of 0.3 s for 5 s': [(Link(delay_s=0.3), 5.0)],
    'packets out of order by up to 0.1 s for 5 s': [(Link(jitter_s=0.1), 5.0)],
    'a third of the packets twice for 5 s': [(Link(twice=0.33), 5.0)],
}


@pytest.fixture
def cable() -> Iterator[Cable]:
    try:
        made = Cable().__enter__()
    except (OSError, subprocess.CalledProcessError) as e:
        pytest.skip(f'network namespaces and TAP devices cannot be made here: {e}')
    yield made
    made.__exit__()


@pytest.fixture
def apart(run: Callable[..., Command], cable: Cable, artefact: Artefact,
          tmp_path: Path) -> Flight:
    """A flight whose server is at the other end of a cable."""
    pytest.importorskip('mcap_ros2')
    drone = cable.around(0)
    return Flight(run, artefact.path, tmp_path, around={
        'remote_inference': cable.around(1), 'edge_inference': drone, 'recorder': drone,
        'monitor': drone}, ROS_AUTOMATIC_DISCOVERY_RANGE='SUBNET')


@pytest.mark.parametrize('case', [name if name.startswith('link down') else LONG(name)
                                  for name in CASES])
def test_the_link(apart: Flight, cable: Cable, photos: str, free_radio: Path, case: str) -> None:
    apart.start_server()
    apart.start_drone(photos, *AUTO, f'emulate:={free_radio}', rate=4.0)
    apart.flies(REMOTE)
    for _ in range(TIMES):
        with apart.fault():
            for link, seconds in CASES[case]:
                cable.link = link
                pause(seconds)
            cable.link = PERFECT
        apart.flies(REMOTE)
    reasons = apart.land(case)
    assert 'no reply' not in reasons, 'an overdue frame is finished on board'
