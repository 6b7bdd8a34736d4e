"""A headless Chromium, driven over its DevTools protocol."""

import asyncio
import base64
import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from waits import WAIT_S

CHROMIUM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome'))), None)
_FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
          '--no-first-run', '--disable-background-networking', '--remote-debugging-port=0')


class Navigated(Exception):
    """The page was replaced by another one while it was asked."""


class Page:
    """A page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.errors: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({'id': number, 'method': method, 'params': params})
        while True:
            answer = await self._socket.receive_json(timeout=WAIT_S)
            if answer.get('id') == number:
                if 'navigated' in answer.get('error', {}).get('message', ''):
                    raise Navigated(answer)
                assert 'error' not in answer, answer
                return answer['result']
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get('params', {})
        if event.get('method') == 'Runtime.exceptionThrown':
            self.errors.append(str(params['exceptionDetails']))
        elif event.get('method') == 'Log.entryAdded' and params['entry']['level'] == 'error':
            self.errors.append(params['entry']['text'])

    async def open(self, url: str, width: int, height: int, *, dark: bool = False) -> None:
        await self.call('Runtime.enable')
        await self.call('Log.enable')
        await self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                        deviceScaleFactor=1, mobile=width < 600)
        await self.call('Emulation.setScrollbarsHidden', hidden=True)
        await self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        await self.call('Page.navigate', url=url)
        await self.until(f"location.href === '{url}' && document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        result = await self.call('Runtime.evaluate', expression=expression, returnByValue=True,
                                 awaitPromise=True)
        assert 'exceptionDetails' not in result, result
        return result['result'].get('value')

    async def until(self, expression: str) -> Any:
        """Wait until an expression holds, here or in the next page; return its value."""
        async with asyncio.timeout(WAIT_S):
            while True:
                with suppress(Navigated):
                    if value := await self.evaluate(expression):
                        return value
                await asyncio.sleep(0.02)

    async def screenshot(self, path: Path, quality: int = 80) -> None:
        """Write the whole page as JPEG."""
        answer = await self.call('Page.captureScreenshot', format='jpeg', quality=quality,
                                 captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer['data']))


@asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Any]:
    """Yield a page of a browser that ends with the context; `profile` is a folder for it."""
    assert CHROMIUM
    process = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f'--user-data-dir={profile}', 'about:blank'],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = await _port(process, profile / 'DevToolsActivePort')
        async with aiohttp.ClientSession() as session:
            async with session.get(f'http://127.0.0.1:{port}/json/list') as answer:
                target = next(t for t in await answer.json() if t['type'] == 'page')
            async with session.ws_connect(target['webSocketDebuggerUrl'],
                                          max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        process.terminate()
        process.wait(WAIT_S)


async def _port(process: subprocess.Popen[bytes], file: Path) -> int:
    async with asyncio.timeout(WAIT_S):
        while not (file.is_file() and file.read_text().count('\n')):
            assert process.poll() is None, 'the browser ended by itself'
            await asyncio.sleep(0.05)
    return int(file.read_text().split('\n')[0])
