"""A fleet flies, is watched, loses a server, and is reported."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graph.command import Command
from graph.test_live import PAGE, states

pytest.importorskip('aiohttp')
pytest.importorskip('mcap_ros2')
pytest.importorskip('matplotlib')
ON_A_TERMINAL = (sys.executable, '-c', 'import pty, sys; pty.spawn(sys.argv[1:])')


@pytest.fixture
def fleet(run: Callable[..., Command], arguments: list[str], tmp_path: Path) -> Command:
    """Two drones and two servers, with a page and a recorder, in flight."""
    started = run('fleet', *arguments, 'drones:=2', 'servers:=2', 'meter:=none', 'rate:=2.0',
                  'split:=block4_pool', 'deadline:=2.0', 'dashboard_port:=0', 'record:=true',
                  f'bag:={tmp_path}/fleet')
    started.said(r's \| 2 drones +[1-9]\d*\.\d fps')
    return started


def seen(url: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the first state of the page that is as wanted."""
    return next(value for kind, value in states(url) if kind == 'state' and wanted(value))


def test_a_fleet_is_watched_survives_a_server_and_is_reported(
        run: Callable[..., Command], fleet: Command, tmp_path: Path) -> None:
    url = fleet.said(PAGE)[1]
    view = run(*ON_A_TERMINAL, 'monitor', '--view', '--drone', 'drone2', '--duration', '600',
               env={'COLUMNS': '140', 'LINES': '50'})
    state = seen(url, lambda s: len(s['fleet']['servers']) == 2 and all(
        x['age_s'] is not None for x in s['fleet']['servers']) and sum(
        d['per_second'] > 0 for d in s['fleet']['drones']) == 2)
    assert [d['name'] for d in state['fleet']['drones']] == ['/drone1', '/drone2']
    assert [x['name'] for x in state['fleet']['servers']] == ['/server1', '/server2']
    view.said(r'/drone1 .*block4_pool')
    view.said(r'/server2.* ms')  # it has heard of it, too: one that was never heard is not silent
    killed = next(p for p in fleet.family() if '__ns:=/server2' in p.cmdline()
                  and 'remote_inference' in ' '.join(p.cmdline()))
    killed.send_signal(signal.SIGKILL)
    fleet.said(r'server2/remote_inference ended by itself with code -9; the others go on')
    state = seen(url, lambda s: any(x['name'] == '/server2' and x['silent']
                                    for x in s['fleet']['servers']))
    assert all(d['per_second'] > 0 for d in state['fleet']['drones'])
    view.said('/server2.* SILENT')
    view.end()
    fleet.interrupt()
    assert fleet.wait() == 1, 'a node died'
    assert 'error: server2/remote_inference ended by itself' in fleet.output
    assert fleet.nobody_is_left() and 'Traceback' not in fleet.output
    check_report(run, fleet.output, tmp_path)


def check_report(run: Callable[..., Command], said: str, folder: Path) -> None:
    """Check that the bag has the counts that the fleet ended with."""
    report = run('report', str(folder / 'fleet'), '--json', str(folder / 'fleet.json'))
    assert report.wait() == 0, report.output
    total = next(line for line in said.splitlines() if line.startswith('all 2 drones: '))
    assert f'fleet, {total}' in report.output
    figures = json.loads((folder / 'fleet.json').read_text())
    for n in (1, 2):
        counts = figures[f'fleet /drone{n}']
        assert counts['captured'] == counts['remote'] + counts['local'] + counts['dropped'] > 0


@pytest.mark.parametrize(('argument', 'text'), [
    ('drones:=65', "argument drones is '65'"), ('servers:=-1', "argument servers is '-1'"),
    ('namespace:=x', "there is no argument 'namespace'"), ('--drones=4', 'unrecognized')])
def test_a_wrong_argument_ends_it_with_a_message(run: Callable[..., Command], argument: str,
                                                 text: str) -> None:
    fleet = run('fleet', argument)
    assert fleet.wait() == 2
    assert text in fleet.output and 'Traceback' not in fleet.output
