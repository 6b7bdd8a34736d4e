"""The live page's server, as a viewer meets it."""

import asyncio
import base64
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from unit.live import drone
from waits import WAIT_S

from offload_perception.errors import ConfigError
from offload_perception.live import access
from offload_perception.live import http_server as serving
from offload_perception.live.fleet_state import FleetState
from offload_perception.live.http_server import MAX_VIEWERS, LiveServer
from offload_perception.live.state import LiveState

aiohttp = pytest.importorskip('aiohttp')


@pytest.fixture
def fleet() -> FleetState:
    return FleetState('/drone1', ('/server',))


@pytest.fixture
def state(fleet: FleetState) -> LiveState:
    return fleet.own


@pytest.fixture
def server(fleet: FleetState) -> Iterator[LiveServer]:
    server = LiveServer(fleet, '127.0.0.1', 0)
    yield server
    server.close()
    assert not server.alive


def visit(server: LiveServer, visitor: Callable[..., Any]) -> Any:
    """Run a coroutine function with a client session of its own."""
    async def run() -> Any:
        async with asyncio.timeout(WAIT_S):
            async with aiohttp.ClientSession(f'http://127.0.0.1:{server.port}') as session:
                return await visitor(session)
    return asyncio.run(run())


@asynccontextmanager
async def watching(session: Any, path: str = '/events') -> AsyncIterator[Any]:
    """Yield a function that returns the next event of a kind."""
    async with session.get(path) as answer:
        assert answer.content_type == 'text/event-stream'

        async def event(wanted: str) -> dict[str, Any]:
            kind = ''
            async for line in answer.content:
                name, _, value = line.decode().rstrip('\n').partition(': ')
                kind = value if name == 'event' else kind
                if name == 'data' and kind == wanted:
                    return json.loads(value)
            raise EOFError
        yield event


def test_the_page_and_all_that_it_names_come_from_this_server(server: LiveServer) -> None:
    async def visitor(session: Any) -> Any:
        found = {}
        for path in ('/', '/live.css', '/live.js'):
            async with session.get(path) as answer:
                assert answer.status == 200
                assert "default-src 'none'" in answer.headers['Content-Security-Policy']
                found[path] = await answer.text()
        return found
    found = visit(server, visitor)
    assert 'src="live.js"' in found['/'] and 'href="live.css"' in found['/']
    assert not any('//' in line.split('// ')[0].replace('data:image/jpeg', '')
                   for text in found.values() for line in text.splitlines() if 'http' in line)
    assert 'innerHTML' not in found['/live.js'] and 'outerHTML' not in found['/live.js']


def test_nothing_else_is_served(server: LiveServer) -> None:
    async def visitor(session: Any) -> Any:
        return [(await session.get(p)).status for p in (
            '/../server.py', '/%2e%2e/server.py', '/server.py', '/state')]
    assert visit(server, visitor) == [404] * 4


def test_events_follow_the_state_and_carry_the_picture_with_its_result(
        server: LiveServer, state: LiveState) -> None:
    async def visitor(session: Any) -> Any:
        async with watching(session) as event:
            assert (await event('state'))['counts']['captured'] == 0
            drone.fill(state)
            state.add_picture(drone.header(9), b'jpeg')
            assert (await event('picture'))['result'] is None
            state.add_result(drone.result(9))
            picture = await event('picture')
            while (now := await event('state'))['counts']['captured'] < 8:
                pass
            return now, picture
    now, picture = visit(server, visitor)
    assert now['counts'] == {'captured': 8, 'remote': 7, 'local': 0, 'dropped': 1,
                             'under_way': 0, 'reasons': {'no reply': 1}}
    assert base64.b64decode(picture['jpeg']) == b'jpeg'
    assert picture['result']['labels'][0]['label'] == 'forest'


def test_a_text_cannot_end_its_event(server: LiveServer, state: LiveState) -> None:
    evil = 'x\n\nevent: picture\ndata: {}\n\n'
    drone.fill(state, label=evil)

    async def visitor(session: Any) -> Any:
        async with watching(session) as event:
            return await event('state')
    labels = visit(server, visitor)['result']['labels']
    assert labels[0]['label'].startswith(r'x\n\nevent: picture')


def test_each_viewer_sees_the_drone_that_it_asks_for(server: LiveServer,
                                                    fleet: FleetState) -> None:
    fleet.found(('/drone1', '/drone2'), ())
    for name, n in (('/drone1', 3), ('/drone2', 5)):
        fleet.drones[name].add_frame(drone.frame(n))
        fleet.drones[name].add_picture(drone.header(n), name.encode())

    async def visitor(session: Any) -> Any:
        seen = {}
        for asked in ('', '/drone2', '/drone9', 'x' * 4000):
            async with watching(session, f'/events?drone={asked}') as event:
                state = await event('state')
                seen[asked[:9]] = state['drone'], state['counts']['captured'], server.viewed
                if state['counts']['captured']:
                    jpeg = base64.b64decode((await event('picture'))['jpeg']).decode()
                    assert jpeg == state['drone']
                assert [d['name'] for d in state['fleet']['drones']] == ['/drone1', '/drone2']
            while server.viewers:
                await asyncio.sleep(0.01)
        return seen
    seen = visit(server, visitor)
    assert seen[''] == ('/drone1', 1, {'/drone1'})
    assert seen['/drone2'] == ('/drone2', 1, {'/drone2'})
    assert seen['/drone9'] == ('/drone9', 0, {'/drone9'}), 'an unknown one is not another one'
    assert len(seen['x' * 9][0]) < 300
    assert not server.viewed and not server._events_at


def test_viewers_are_counted_and_too_many_are_rejected(server: LiveServer) -> None:
    async def visitor(session: Any) -> Any:
        answers = [await session.get('/events') for _ in range(MAX_VIEWERS + 1)]
        for answer in answers[:-1]:
            await answer.content.readline()
        counted = server.viewers
        text = await answers[-1].text()  # and the stream ends
        for answer in answers:
            answer.close()
        while server.viewers:
            await asyncio.sleep(0.01)
        return [a.status for a in answers], counted, text
    statuses, counted, text = visit(server, visitor)
    assert statuses == [200] * (MAX_VIEWERS + 1) and counted == MAX_VIEWERS
    assert text == 'event: refused\ndata: {"why": "8 viewers watch already; close one"}\n\n'


@pytest.mark.parametrize(('host', 'status'), [
    ('127.0.0.1:{port}', 200), ('localhost:{port}', 200), ('127.0.0.1:8080', 200),  # ssh -L
    ('[::1]:{port}', 200), ('Drone.local:80', 200), ('drone.local.', 200),
    ('evil.example:{port}', 403), ('127.0.0.1.evil.example', 403), ('localhost.evil.example', 403),
    ('192.168.1.7', 403), ('0.0.0.0:{port}', 403), ('', 403), ('[', 403), ('drone', 403),
    ('evil.example@127.0.0.1', 200)])
def test_the_page_answers_to_its_own_names_alone(fleet: FleetState, host: str,
                                                 status: int) -> None:
    server = LiveServer(fleet, '127.0.0.1', 0, ['drone.local'])

    async def visitor(session: Any) -> Any:
        found = []
        for path in ('/', '/live.js', '/events', '/control', '/nothing'):
            named = {'Host': host.format(port=server.port)}
            async with session.get(path, headers=named) as answer:
                found.append(answer.status)
                if answer.status == 403 and path == '/':
                    assert 'dashboard_names' in await answer.text()
        return found
    expected = [200, 200, 200, 403, 404] if status == 200 else [403] * 5
    assert visit(server, visitor) == expected
    server.close()


@pytest.mark.parametrize(('served', 'host', 'welcome'), [
    ('192.168.1.5', '192.168.1.5:8080', True), ('::ffff:192.168.1.5', '192.168.1.5', True),
    ('fe80::1%eth0', '[fe80::1]:8080', True), ('192.168.1.5', '192.168.1.6', False)])
def test_the_address_that_a_request_came_in_on_is_one_of_the_names(
        served: str, host: str, welcome: bool) -> None:
    assert (access.refusal('GET', {'Host': host}, served, ()) == '') is welcome


class Recorder:
    """Stands in for the drone: records its calls."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def values(self, drone: str) -> dict[str, str | float]:
        return {'split': 'auto', 'deadline': 0.2}

    def set(self, drone: str, name: str, text: str) -> str:
        if text == 'no':
            raise ConfigError('refused: no')
        self.told.append((drone, name, text))
        return text


def post(server: LiveServer, body: str, path: str = '/control',
         **headers: str) -> tuple[int, Any]:
    async def visitor(session: Any) -> Any:
        async with session.post(path, data=body, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith('{') else text
    return visit(server, visitor)


def test_a_viewer_changes_the_drone_from_the_page_alone(server: LiveServer) -> None:
    own = f'http://127.0.0.1:{server.port}'
    body = json.dumps({'parameter': 'split', 'value': 'block3_pool'})
    assert post(server, body, Origin=own)[0] == 403, 'it is switched off'
    server.control = drone_told = Recorder()
    elsewhere = ('http://evil.example', 'null', f'http://localhost:{server.port}', f'{own}.evil')
    for origin in elsewhere:
        assert post(server, body, Origin=origin)[0] == 403, origin
    assert post(server, body)[0] == 403, 'no origin'
    assert post(server, body, Host='evil.example', Origin='http://evil.example')[0] == 403
    assert drone_told.told == []
    assert post(server, body, Origin=own) == (200, '"block3_pool"')
    assert post(server, body, '/control?drone=/drone2', Origin=own)[0] == 200
    assert drone_told.told == [(name, 'split', 'block3_pool') for name in ('/drone1', '/drone2')]


def test_what_the_drone_refuses_and_what_makes_no_sense_is_reported(server: LiveServer) -> None:
    server.control = Recorder()
    own = f'http://127.0.0.1:{server.port}'
    assert post(server, '{"parameter": "split", "value": "no"}', Origin=own) == (
        409, {'error': 'refused: no'})
    for body in ('', '[]', '3', '{"parameter": "split"}', '{"parameter": 1, "value": "x"}', '{'):
        assert post(server, body, Origin=own)[0] == 400, body
    assert post(server, 'x' * 100_000, Origin=own)[0] == 413

    async def visitor(session: Any) -> Any:
        async with session.get('/control') as answer:
            return await answer.json()
    assert visit(server, visitor) == {'split': 'auto', 'deadline': 0.2}


def test_a_viewer_that_does_not_read_holds_nobody_up_and_is_left(
        server: LiveServer, state: LiveState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, '_WRITE_TIMEOUT_S', 0.2)
    monkeypatch.setattr(serving, 'EVENT_PERIOD_S', 0.001)
    hanging = socket.socket()
    hanging.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    hanging.connect(('127.0.0.1', server.port))
    hanging.sendall(b'GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')

    async def visitor(session: Any) -> None:
        while not server.viewers:
            await asyncio.sleep(0.01)
        async with watching(session) as event:
            drone.fill(state)
            while (await event('state'))['counts']['captured'] < 8:
                pass
            assert threading.active_count() < 10
            while server.viewers > 1:  # the one that hangs is left
                await event('state')
    visit(server, visitor)
    hanging.close()


def test_viewers_that_leave_at_once_are_no_error(server: LiveServer,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        with socket.create_connection(('127.0.0.1', server.port)) as leaving:
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            leaving.sendall(b'GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n')

    async def arrive_after_them(session: Any) -> int:
        async with session.get('/') as answer:
            return answer.status
    assert visit(server, arrive_after_them) == 200
    assert not caplog.records


def test_closing_ends_the_streams(fleet: FleetState) -> None:
    server = LiveServer(fleet, '127.0.0.1', 0)

    async def visitor(session: Any) -> None:
        async with watching(session) as event:
            await event('state')
            await asyncio.to_thread(server.close)
            with pytest.raises((EOFError, aiohttp.ClientError)):
                while True:
                    await event('state')
    visit(server, visitor)
    assert not server.alive


@pytest.mark.parametrize(('host', 'text'), [
    ('no.such.host.invalid', 'unknown'), ('192.0.2.1', 'dashboard_host')])
def test_an_address_that_cannot_be_had_is_refused_with_the_remedy(
        fleet: FleetState, host: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        LiveServer(fleet, host, 0)


def test_a_busy_port_is_refused_with_the_remedy(fleet: FleetState, server: LiveServer) -> None:
    with pytest.raises(ConfigError, match=r'another program has the port.*dashboard_port'):
        LiveServer(fleet, '127.0.0.1', server.port)


def test_only_a_loopback_address_is_local(fleet: FleetState, server: LiveServer) -> None:
    assert server.local_only
    open_to_all = LiveServer(fleet, '0.0.0.0', 0)
    open_to_all.close()
    assert not open_to_all.local_only


def test_the_page_is_packaged() -> None:
    setup = Path(__file__).parents[3] / 'setup.py'
    assert "'live/page/*'" in setup.read_text()
