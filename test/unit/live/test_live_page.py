"""The live page in a real browser, fed with data of a test's own."""

import asyncio

import browser
import cv2
import drone
import numpy as np
import pytest

from offload_perception.live.server import LiveServer
from offload_perception.live.state import LiveState

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason='no Chromium is installed')
EVIL = '<img src=x onerror=alert(1)><b>bold</b>'
TEXT = "document.body.innerText.replace(/\\s+/g, ' ')"
DRAWN = ("document.querySelectorAll('#stages li').length"
         " && !document.getElementById('picture').hidden")


@pytest.fixture
def state():
    state = LiveState('/drone1', ('/server', '/server2'))
    drone.fill(state, label=EVIL)
    jpeg = cv2.imencode('.jpg', np.zeros((60, 80, 3), np.uint8))[1].tobytes()
    state.add_picture(drone.header(3), jpeg)
    return state


async def check(page: browser.Page, url: str, width: int, dark: bool) -> None:
    """Open the page at a size and check what it shows."""
    await page.open(url, width, 844, dark=dark)
    await page.until(DRAWN)
    said = await page.evaluate(TEXT)
    for text in ('captured 8 = remote 7 + local 0 + dropped 1', 'dropped, no reply: 1', '5.25 W',
                 '1.200 J a frame', 'EMULATED', 'block4_pool', 'openvino on cpu', '100.0 ms',
                 'deadline 200.0 ms', '2.50 MB/s', '/server2: not heard of', '1 error, 1 warning',
                 'some tails could not be computed',
                 'Mission policy economy: battery at 25%; an image every 0.5 s; deadline times 2'):
        assert text in said, f'{text} at {width}: {said}'
    assert await page.evaluate("document.getElementById('label').textContent") == f'{EVIL} 90 %'
    assert await page.evaluate("document.querySelectorAll('img').length") == 1
    assert await page.evaluate("document.querySelectorAll('#strip i.drone').length") == 14
    assert await page.evaluate("document.querySelectorAll('#strip i.server').length") == 7
    # Nothing is cut off at the side, and the bar is as long as its stages.
    assert await page.evaluate('document.documentElement.scrollWidth') <= width
    share = await page.evaluate(
        "[...document.querySelectorAll('#bar i')].map(i => i.getBoundingClientRect().width)"
        ".reduce((a, b) => a + b) / document.getElementById('bar').clientWidth")
    assert share == pytest.approx(0.1 / (1.05 * 0.2), abs=0.02)
    shade = await page.evaluate(
        'getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)')
    assert (sum(shade) < 200) == dark


def test_the_page_on_a_desk_and_on_a_phone_and_when_the_drone_is_gone(state, tmp_path):
    async def watch() -> None:
        server = LiveServer(state, '127.0.0.1', 0)
        url = f'http://127.0.0.1:{server.port}/'
        try:
            async with browser.browsing(tmp_path) as page:
                await check(page, url, 1360, dark=False)
                await check(page, url, 390, dark=True)
                await check_life(page, server)
                assert not [e for e in page.errors if 'ERR_' not in e], page.errors
        finally:
            server.close()

    async def check_life(page: browser.Page, server: LiveServer) -> None:
        """A page whose node has gone says so, and comes back with it by itself."""
        banner = "!document.getElementById('banner').hidden"
        assert not await page.evaluate(banner)
        await asyncio.to_thread(server.close)
        await page.until(f"{banner} && document.body.className === 'lost'")
        assert 'everything below is old' in await page.evaluate(TEXT)
        again = LiveServer(state, '127.0.0.1', server.port)
        try:
            await page.until(f'!({banner})')
        finally:
            await asyncio.to_thread(again.close)

    asyncio.run(watch())
