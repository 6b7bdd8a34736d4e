"""Serve the live page: one page of our own, and a stream of events for it.

A viewer that reads slowly gets fewer events, never older ones, and delays no other viewer: each
gets the newest state after it has read the one before.
"""

import asyncio
import errno
import json
import socket
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from offload_perception.errors import ConfigError, OffloadError
from offload_perception.live import access
from offload_perception.live.fleet_state import FleetState
from offload_perception.live.plain_data import plain
from offload_perception.live.state import Picture
from offload_perception.threads import Worker

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler
    from aiohttp.web import Request, Response, StreamResponse

EVENT_PERIOD_S = 0.2
MAX_VIEWERS = 8
NO_CONTROL = ('this page is read-only; parameter control (dashboard_control of the launch) says '
              'who may change cut, codec and deadline')
_WRITE_TIMEOUT_S = 10.0
_NAME_LIMIT = 256  # characters of a drone's name
_BUFFER_BYTES = 16384  # of each viewer, in the kernel; more would only hold outdated events
_PAGE = Path(__file__).parent / 'page'
_FILES = {'/': ('index.html', 'text/html'), '/live.css': ('live.css', 'text/css'),
          '/live.js': ('live.js', 'text/javascript')}
_HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
                               "form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store'}


class Control(Protocol):
    """Changes a drone for a viewer; both calls wait for the drone, and may be refused."""

    def values(self, drone: str) -> dict[str, str | float]:
        """Return what may be changed, with its current values."""

    def set(self, drone: str, name: str, text: str) -> object:
        """Change a parameter to what `text` stands for."""


class LiveServer:
    """Serves a FleetState from a thread of its own, from construction until `close`.

    Each viewer asks for one drone in full, by `?drone=/drone2`.

    :ivar control: changes the drone for viewers; None = not allowed.
    :param names: other host names of this computer that are allowed; see `access`.
    :raises ConfigError: if the address cannot be had, or aiohttp is missing.
    """

    def __init__(self, state: FleetState, host: str, port: int,
                 names: Iterable[str] = ()) -> None:
        try:
            from aiohttp import web
        except ImportError as e:
            raise ConfigError(f'the live page needs aiohttp ({e}); pip install aiohttp') from e
        self._web, self._state, self._names = web, state, frozenset(names)
        self.control: Control | None = None
        self._socket = _listen(host, port)
        address, self.port = self._socket.getsockname()[:2]
        self.local_only = ip_address(address).is_loopback
        self._viewers = Counter[str]()  # by the drone that they ask for
        self._events_at: dict[str, tuple[float, bytes]] = {}  # the newest, by the same
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._worker = Worker('live page', self._run)
        self._worker.start()

    @property
    def viewers(self) -> int:
        """Return how many watch."""
        return self._viewers.total()

    @property
    def viewed(self) -> frozenset[str]:
        """Return the drones that are shown in full."""
        return frozenset(self._state.shown(asked).drone for asked in self._viewers)

    @property
    def alive(self) -> bool:
        """Return whether the page is being served."""
        return self._worker.alive

    def close(self) -> None:
        """Close the connections and stop serving."""
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._closing.set)
        self._worker.stop()

    # -- in the server's thread -------------------------------------------------------------

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        from aiohttp import web

        @web.middleware
        async def check(request: 'Request', handler: 'Handler') -> 'StreamResponse':
            why = self._refusal(request)
            return web.Response(status=403, text=why) if why else await handler(request)

        app = web.Application(middlewares=[check], client_max_size=4096)
        app.on_response_prepare.append(_add_headers)
        app.add_routes([web.get(path, self._file) for path in _FILES])
        app.add_routes([web.get('/events', self._events), web.get('/control', self._values),
                        web.post('/control', self._change)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket).start()
            await self._closing.wait()
        finally:
            await runner.cleanup()

    async def _file(self, request: 'Request') -> 'Response':
        name, kind = _FILES[request.path]
        return self._web.Response(body=(_PAGE / name).read_bytes(), content_type=kind,
                                  charset='utf-8')

    def _refusal(self, request: 'Request') -> str:
        """Return why a request is refused; empty if it is allowed."""
        if request.transport is None:
            return 'the connection is closed'
        served = request.transport.get_extra_info('sockname')[0]
        return access.refusal(request.method, request.headers, served, self._names)

    async def _values(self, request: 'Request') -> 'Response':
        """Return what may be changed, with its current values."""
        drone = self._state.shown(_asked(request)).drone
        return await self._answer(lambda control: control.values(drone))

    async def _change(self, request: 'Request') -> 'Response':
        """Change what the body names: a JSON object with `parameter` and `value`, both texts."""
        try:
            body = await request.json()
            name, value = body['parameter'], body['value']
        except (ValueError, TypeError, KeyError):
            name = value = None
        if not (isinstance(name, str) and isinstance(value, str)):
            return self._web.json_response(
                {'error': 'send {"parameter": "split", "value": "block3_pool"}'}, status=400)
        drone = self._state.shown(_asked(request)).drone
        return await self._answer(lambda control: control.set(drone, name, value))

    async def _answer(self, call: Callable[[Control], object]) -> 'Response':
        """Return the result of a call that waits for the drone, or why it refuses."""
        if self.control is None:
            return self._web.json_response({'error': NO_CONTROL}, status=403)
        try:
            return self._web.json_response(plain(await asyncio.to_thread(call, self.control)))
        except OffloadError as e:
            return self._web.json_response({'error': plain(str(e))}, status=409)

    async def _events(self, request: 'Request') -> 'StreamResponse':
        response = self._web.StreamResponse(headers={'Content-Type': 'text/event-stream'})
        with suppress(ConnectionError, TimeoutError):  # the viewer has gone, or hangs
            await response.prepare(request)
            if self.viewers < MAX_VIEWERS:
                await self._serve_viewer(request, response)
            else:  # as an event: a page cannot read another refusal
                why = f'{self.viewers} viewers watch already; close one'
                await response.write(_event('refused', {'why': why}))
        return response

    async def _serve_viewer(self, request: 'Request', response: 'StreamResponse') -> None:
        if request.transport is not None:  # else the viewer has gone, and writing fails
            request.transport.set_write_buffer_limits(high=0)
        asked = _asked(request)
        self._viewers = self._viewers + Counter([asked])  # others read it from their threads
        try:
            await self._push_events(response, asked)
        finally:
            self._viewers = self._viewers - Counter([asked])
            if asked not in self._viewers:
                self._events_at.pop(asked, None)

    async def _push_events(self, response: 'StreamResponse', asked: str) -> None:
        """Write the newest state and picture, each when the viewer has taken what came before."""
        shown = None
        while not self._closing.is_set():
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await response.write(self._newest(asked))
                found = self._state.shown(asked).picture()
                if found and found != shown:
                    await response.write(_picture_event(*found))
                    shown = found
            with suppress(TimeoutError):
                async with asyncio.timeout(EVENT_PERIOD_S):
                    await self._closing.wait()

    def _newest(self, asked: str) -> bytes:
        """Return the state as an event; made once a period for all viewers of a drone."""
        now = time.monotonic()
        at_s, event = self._events_at.get(asked, (float('-inf'), b''))
        if now - at_s >= EVENT_PERIOD_S / 2:
            event = _event('state', {**self._state.snapshot(asked),
                                     'control': self.control is not None})
            self._events_at[asked] = now, event
        return event


def _asked(request: 'Request') -> str:
    """Return the drone that a request is about; empty if it leaves that open."""
    return request.query.get('drone', '')[:_NAME_LIMIT]


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f'event: {kind}\ndata: {json.dumps(data, allow_nan=False)}\n\n'.encode()


def _picture_event(picture: Picture, result: dict[str, Any] | None) -> bytes:
    """Return a picture with its result: in one event, so that no other picture's label shows."""
    return _event('picture', {'jpeg': b64encode(picture.jpeg).decode(), 'result': result})


async def _add_headers(request: 'Request', response: 'StreamResponse') -> None:
    response.headers.update(_HEADERS)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound already, so that a wrong address is refused here."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family, kind, protocol)
    except OSError as e:
        raise ConfigError(f"parameter host: '{host}' is unknown ({e.strerror or e}); use "
                          '127.0.0.1, 0.0.0.0, or an address of this computer') from e
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        found.bind(address)
        found.listen()
    except OSError as e:
        found.close()
        raise ConfigError(f'the live page cannot be served on {host} port {port}: {e.strerror}; '
                          f'{_remedy(e)}') from e
    return found


def _remedy(e: OSError) -> str:
    if e.errno == errno.EADDRINUSE:
        return 'another program has the port: choose another (port; dashboard_port of the launch)'
    if e.errno == errno.EACCES:
        return 'ports below 1024 are for root: choose a higher one'
    return 'choose an address of this computer (host; dashboard_host of the launch)'
