"""The live page's server, as a viewer meets it."""

import asyncio
import base64
import json
import socket
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import drone
import pytest

from offload_perception.errors import ConfigError
from offload_perception.live import server as serving
from offload_perception.live.server import MAX_VIEWERS, LiveServer
from offload_perception.live.state import LiveState

aiohttp = pytest.importorskip('aiohttp')
WAIT_S = 20.0


@pytest.fixture
def state():
    return LiveState('/drone1', ('/server',))


@pytest.fixture
def server(state):
    server = LiveServer(state, '127.0.0.1', 0)
    yield server
    server.close()
    assert not server.alive


def visit(server, visitor):
    """Run a coroutine function with a client session of its own."""
    async def run():
        async with asyncio.timeout(WAIT_S):
            async with aiohttp.ClientSession(f'http://127.0.0.1:{server.port}') as session:
                return await visitor(session)
    return asyncio.run(run())


@asynccontextmanager
async def watching(session):
    """Yield a function that returns the next event of a kind."""
    async with session.get('/events') as answer:
        assert answer.content_type == 'text/event-stream'

        async def event(wanted: str) -> dict:
            kind = ''
            async for line in answer.content:
                name, _, value = line.decode().rstrip('\n').partition(': ')
                kind = value if name == 'event' else kind
                if name == 'data' and kind == wanted:
                    return json.loads(value)
            raise EOFError
        yield event


def test_the_page_and_all_that_it_names_come_from_this_server(server):
    async def visitor(session):
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


def test_nothing_else_is_served(server):
    async def visitor(session):
        return [(await session.get(p)).status for p in (
            '/../server.py', '/%2e%2e/server.py', '/server.py', '/state')]
    assert visit(server, visitor) == [404] * 4


def test_events_follow_the_state_and_carry_the_picture_with_its_result(server, state):
    async def visitor(session):
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


def test_a_text_cannot_end_its_event(server, state):
    evil = 'x\n\nevent: picture\ndata: {}\n\n'
    drone.fill(state, label=evil)

    async def visitor(session):
        async with watching(session) as event:
            return await event('state')
    labels = visit(server, visitor)['result']['labels']
    assert labels[0]['label'].startswith('x  event: picture')


def test_viewers_are_counted_and_too_many_turned_away(server):
    async def visitor(session):
        answers = [await session.get('/events') for _ in range(MAX_VIEWERS + 1)]
        for answer in answers[:-1]:
            await answer.content.readline()
        counted = server.viewers
        text = await answers[-1].text()
        for answer in answers:
            answer.close()
        while server.viewers:
            await asyncio.sleep(0.01)
        return [a.status for a in answers], counted, text
    statuses, counted, text = visit(server, visitor)
    assert statuses == [200] * MAX_VIEWERS + [503] and counted == MAX_VIEWERS
    assert 'close one' in text


def test_a_viewer_that_does_not_read_holds_nobody_up_and_is_left(server, state, monkeypatch):
    monkeypatch.setattr(serving, '_WRITE_TIMEOUT_S', 0.2)
    monkeypatch.setattr(serving, 'EVENT_PERIOD_S', 0.001)
    hanging = socket.socket()
    hanging.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    hanging.connect(('127.0.0.1', server.port))
    hanging.sendall(b'GET /events HTTP/1.1\r\nHost: drone\r\n\r\n')

    async def visitor(session):
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


def test_closing_ends_the_streams(state):
    server = LiveServer(state, '127.0.0.1', 0)

    async def visitor(session):
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
def test_an_address_that_cannot_be_had_is_refused_with_the_remedy(state, host, text):
    with pytest.raises(ConfigError, match=text):
        LiveServer(state, host, 0)


def test_a_busy_port_is_refused_with_the_remedy(state, server):
    with pytest.raises(ConfigError, match=r'another program has the port.*dashboard_port'):
        LiveServer(state, '127.0.0.1', server.port)


def test_only_a_loopback_address_is_local(state, server):
    assert server.local_only
    open_to_all = LiveServer(state, '0.0.0.0', 0)
    open_to_all.close()
    assert not open_to_all.local_only


def test_the_page_is_packaged():
    setup = Path(__file__).parents[3] / 'setup.py'
    assert "'live/page/*'" in setup.read_text()
