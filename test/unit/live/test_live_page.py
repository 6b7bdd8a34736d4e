"""The live page in a real browser, fed with data of a test's own."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from unit.live import browser, drone
from unit.live.drone import Clock
from waits import WAIT_S

from offload_perception.errors import ConfigError
from offload_perception.live import http_server as serving
from offload_perception.live.fleet_state import FleetState
from offload_perception.live.http_server import LiveServer
from offload_perception.live.picture import png_of_classes
from offload_perception.live.state import LiveState

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason='no Chromium is installed')
EVIL = '<img src=x onerror=alert(1)><b>bold</b>'
TEXT = "document.body.innerText.replace(/\\s+/g, ' ')"
STATE = "document.getElementById('state').textContent"
STALE = "[...document.querySelectorAll('.stale')].map(e => e.id)"
SUBMIT = "document.getElementById('tune').requestSubmit()"
DRAWN = ("document.querySelectorAll('#stages li').length"
         " && !document.getElementById('picture').hidden")


@pytest.fixture
def state(state: LiveState) -> LiveState:
    drone.fill(state, label=EVIL)
    jpeg = cv2.imencode('.jpg', np.zeros((60, 80, 3), np.uint8))[1].tobytes()
    state.add_picture(drone.header(3), jpeg)
    return state


def fleet_of(state: LiveState) -> FleetState:
    """Return the fleet of one drone, with a state of the test's own."""
    fleet = FleetState(state.drone, state.servers, state.clock)
    fleet.own, fleet.drones = state, {state.drone: state}
    return fleet


async def check(page: browser.Page, url: str, width: int, dark: bool) -> None:
    """Open the page at a size and check what it shows."""
    await page.open(url, width, 844, dark=dark)
    await page.until(DRAWN)
    said = await page.evaluate(TEXT)
    for text in ('captured 8 = remote 7 + local 0 + dropped 1', 'dropped, no reply: 1', '5.25 W',
                 '1.200 J a frame', '0.300 W not explained', 'metered', 'EMULATED',
                 '31.50 W · 3.250 J a frame · RAPL package-0', 'block4_pool', 'openvino on cpu',
                 '100.0 ms', 'deadline 200.0 ms', '2.50 MB/s', '/server2: no messages',
                 'error /server/remote_inference: some tails could not be computed (for 0 s)',
                 'warning um25c: a reading is missing now and then',
                 'Mission policy economy: battery at 25%; an image every 0.5 s; deadline times 2'):
        assert text in said, f'{text} at {width}: {said}'
    assert await page.evaluate("document.getElementById('label').textContent") == f'{EVIL} 90 %'
    assert await page.evaluate("document.querySelectorAll('img').length") == 2
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


def test_the_page_on_a_desk_and_on_a_phone_and_when_the_drone_is_gone(
        state: LiveState, tmp_path: Path) -> None:
    async def watch() -> None:
        server = LiveServer(fleet_of(state), '127.0.0.1', 0)
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
        await page.until(f"{banner} && document.body.className === 'gone'")
        assert 'everything below is old' in await page.evaluate(TEXT)
        again = LiveServer(fleet_of(state), '127.0.0.1', server.port)
        try:
            await page.until(f'!({banner})')
        finally:
            await asyncio.to_thread(again.close)

    asyncio.run(watch())


class FakeDrone:
    """Records the requests of the page."""

    def __init__(self) -> None:
        self.holds: dict[str, str | float] = {'split': 'auto', 'codec': 'auto', 'deadline': 0.2}

    def values(self, drone: str) -> dict[str, str | float]:
        return self.holds

    def set(self, drone: str, name: str, text: str) -> str:
        if name == 'codec':
            raise ConfigError('no such codec')
        self.holds = {**self.holds, name: text}
        return text


def watched(state: LiveState, profile: Path, visit: Callable[[browser.Page, LiveServer], Any],
            before: str = '', controlled: bool = True) -> None:
    """Open the page at 390 px and visit it; `before` is a script that runs first."""
    async def watch() -> None:
        server = LiveServer(fleet_of(state), '127.0.0.1', 0)
        server.control = FakeDrone() if controlled else None
        try:
            async with browser.browsing(profile) as page:
                await page.call('Page.enable')
                await page.call('Page.addScriptToEvaluateOnNewDocument', source=before)
                await page.open(f'http://127.0.0.1:{server.port}/', 390, 844)
                await visit(page, server)
                assert not page.errors
        finally:
            await asyncio.to_thread(server.close)
    asyncio.run(watch())


def test_old_figures_look_old_and_a_lost_server_is_in_the_state(
        state: LiveState, clock: Clock, tmp_path: Path) -> None:
    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until(f"{STATE} === 'live'")
        assert await page.evaluate(STALE) == []
        clock.now_s += 8
        state.add_power(drone.power())
        await page.until(f"{STATE} === '/server lost, no frame for 8 s'")
        assert await page.evaluate(STALE) == ['camera', 'latency', 'network', 'link', '']
        assert '/server is silent for 8 s' in await page.evaluate(TEXT)
        assert await page.evaluate('document.body.className') == 'lost'
        state.add_server('/server', drone.status(model_digest='d2'))
        state.add_frame(drone.frame(9))
        await page.until(f"{STATE} === '/server has another model'")
        assert 'another model or other weights' in await page.evaluate(TEXT)
    watched(state, tmp_path, visit)


def test_warnings_come_first_and_none_is_cut_off_on_a_phone(state: LiveState,
                                                            tmp_path: Path) -> None:
    for n in range(12):
        state.add_health(f'/drone1/n{n}', 1, f'warm {n}: ' + 'and ' * 60, {})

    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until("document.querySelectorAll('#warnings li').length === 9")
        boxes = await page.evaluate("[...document.querySelectorAll('#warnings li')].map("
                                    "li => [li.scrollHeight - li.clientHeight, "
                                    "li.getBoundingClientRect().right])")
        assert all(hidden <= 0 and right <= 390 for hidden, right in boxes)
        assert await page.evaluate("document.querySelector('#warnings li').className") == 'error'
        assert 'and 6 more' in await page.evaluate(TEXT)
        assert await page.evaluate("document.getElementById('warnings').offsetTop"
                                   " < document.getElementById('camera').offsetTop")
    watched(state, tmp_path, visit)


BOXES = """[...document.querySelectorAll('.box')].map(b => {
  const p = document.getElementById('picture').getBoundingClientRect();
  const r = b.getBoundingClientRect();
  return [(r.left - p.left) / p.width, (r.top - p.top) / p.height,
          (r.right - p.left) / p.width, (r.bottom - p.top) / p.height]; })"""
TAGS = """[...document.querySelectorAll('.box span')].map(t => {
  const f = t.closest('.frame').getBoundingClientRect(), r = t.getBoundingClientRect();
  return [t.textContent, r.left >= f.left - 1 && r.right <= f.right + 1]; })"""
Box = tuple[float, float, float, float]


def add_objects(state: LiveState, size: tuple[int, int], *boxes: Box,
                label: str = EVIL, number: int = 7) -> None:
    state.add_result(drone.objects(number, *[(label, 0.75)] * len(boxes)))
    state.add_detections(drone.detections(number, *boxes, label=label, size=size))
    state.add_picture(drone.header(number), cv2.imencode('.jpg', np.zeros(
        (size[1] // 8, size[0] // 8, 3), np.uint8))[1].tobytes())


@pytest.mark.parametrize('size', [(1920, 1080), (480, 640)])
def test_boxes_lie_where_the_camera_saw_them(state: LiveState, tmp_path: Path,
                                             size: tuple[int, int]) -> None:
    wide, high = size
    add_objects(state, size, (0, 0, wide / 2, high / 4), (wide * .75, high * .5, wide, high))

    async def visit(page: browser.Page, server: LiveServer) -> None:
        for width in (390, 1360):
            await page.open(f'http://127.0.0.1:{server.port}/', width, 844)
            await page.until("document.querySelectorAll('.box').length === 2")
            found = sorted(await page.evaluate(BOXES))
            assert np.allclose(found, [[0, 0, .5, .25], [.75, .5, 1, 1]], atol=0.01), found
            assert await page.evaluate(TAGS) == [[f'{EVIL} 75 %', True]] * 2
            shape = await page.evaluate("(r => r.width / r.height)("
                                        "document.getElementById('picture').getBoundingClientRect())")
            assert shape == pytest.approx(wide / high, rel=0.02)
            assert await page.evaluate('document.documentElement.scrollWidth') <= width
            assert await page.evaluate(
                "document.getElementById('label').textContent") == f'2 {EVIL}'
            assert await page.evaluate("document.querySelectorAll('img, .frame b').length") == 2
    watched(state, tmp_path, visit)


def test_many_boxes_are_bounded_and_the_best_lie_on_top(state: LiveState, tmp_path: Path) -> None:
    boxes = [(x, y, x + 90, y + 60) for y in range(0, 480, 20) for x in range(0, 640, 64)]
    add_objects(state, (640, 480), *boxes, label='person')

    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until("document.querySelectorAll('.box').length === 100")
        text = await page.evaluate(TEXT)
        assert '240 person' in text and '140 boxes are not drawn' in text
        tags = await page.evaluate(TAGS)
        assert len(tags) == 20 and all(inside for _, inside in tags)
        assert await page.evaluate('document.documentElement.scrollWidth') <= 390
        last = (await page.evaluate(BOXES))[-1]
        assert np.allclose(last, [0, 0, 90 / 640, 60 / 480], atol=0.01)
    watched(state, tmp_path, visit)


def test_boxes_wait_for_their_picture_and_an_older_one_is_not_drawn_later(
        state: LiveState, tmp_path: Path) -> None:
    add_objects(state, (640, 480), (0, 0, 90, 60), number=7)
    boxes = "document.querySelectorAll('.box').length"

    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until(f'{boxes} === 1')
        await page.evaluate('window.hold = []')
        add_objects(state, (640, 480), *[(0, 0, 90, 60)] * 2, number=8)
        await page.until('hold.length')
        assert await page.evaluate(boxes) == 1
        await page.evaluate('[window.late, window.hold] = [hold[0], null]')
        add_objects(state, (640, 480), *[(0, 0, 90, 60)] * 3, number=9)
        await page.until(f'{boxes} === 3')
        await page.evaluate('late()')
        assert await page.evaluate(boxes) == 3
    watched(state, tmp_path, visit, before="""
        const decode = HTMLImageElement.prototype.decode;
        HTMLImageElement.prototype.decode = function() {
          return window.hold ? new Promise(done => window.hold.push(done)) : decode.call(this);
        };""")


@pytest.mark.parametrize(('fit', 'how'), [
    ('crop', 'contain'), ('letterbox', 'cover'), ('stretch', 'fill'), ('', None)])
def test_a_class_map_lies_over_what_the_network_saw(state: LiveState, tmp_path: Path, fit: str,
                                                    how: str | None) -> None:
    state.add_picture(drone.header(7), cv2.imencode('.jpg', np.zeros((60, 80, 3), np.uint8)
                                                    )[1].tobytes())
    classes = np.full((30, 30), 8, np.uint8)
    state.add_class_map(drone.header(7), png_of_classes(drone.Message(
        height=30, width=30, step=30, encoding='mono8', data=classes.tobytes()), 80))
    state.add_result(drone.result(7, kind='segmentation', labels=['cat'], ids=[8], scores=[1.0]))
    state.add_health('/drone1/edge_inference', 0, '', {'fit': fit})

    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until("document.getElementById('label').textContent === 'cat 100 %'")
        seen = await page.evaluate("(m => m.hidden ? null : [getComputedStyle(m).objectFit, "
                                   "m.clientWidth === m.previousElementSibling.clientWidth])"
                                   "(document.getElementById('map'))")
        assert seen == (how and [how, True])
    watched(state, tmp_path, visit)


def test_a_viewer_too_many_is_told_why(state: LiveState, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, 'MAX_VIEWERS', 0)

    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until(f"{STATE} === 'turned away'")
        assert 'viewers watch already; close one' in await page.evaluate(TEXT)
        monkeypatch.setattr(serving, 'MAX_VIEWERS', 1)
        await page.until(f"{STATE} === 'live'")
    watched(state, tmp_path, visit)


def test_a_browser_that_forbids_storage_shows_the_page(state: LiveState, tmp_path: Path) -> None:
    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until(f"{STATE} === 'live'")
        await page.evaluate("document.getElementById('theme').click()")
        assert await page.evaluate('document.documentElement.dataset.theme') == 'dark'
    watched(state, tmp_path, visit, before="Object.defineProperty(window, 'localStorage', "
                                           "{get() { throw new DOMException('denied'); }});")


def test_a_drone_is_changed_from_the_page(state: LiveState, tmp_path: Path) -> None:
    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until("document.getElementById('tune').split.value === 'auto'")
        assert await page.evaluate("[...document.querySelectorAll('#cuts option')].length") == 23
        await page.evaluate("document.getElementById('tune').split.value = 'block3_pool'")
        await page.evaluate(SUBMIT)
        await page.until("document.getElementById('answer').textContent"
                         " === 'changed: split block3_pool'")
        assert server.control.holds['split'] == 'block3_pool'
        await page.evaluate("document.getElementById('tune').codec.value = 'mp3'")
        await page.evaluate(SUBMIT)
        await page.until("document.getElementById('answer').textContent === 'no such codec'")
        page.errors.clear()  # the browser notes each answer that is no success
    watched(state, tmp_path, visit)


def test_a_page_without_control_shows_none(state: LiveState, tmp_path: Path) -> None:
    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until(f"{STATE} === 'live'")
        await page.until("document.getElementById('control').hidden")
    watched(state, tmp_path, visit, controlled=False)


def test_a_click_on_a_drone_in_the_table_shows_it_in_full(fleet: FleetState,
                                                          tmp_path: Path) -> None:
    fleet.found(('/drone1', '/drone2', '/drone3'), ())
    for n, state in enumerate(fleet.drones.values(), 1):
        drone.fill(state, frames=n + 4)
    fleet.add_server('/server', drone.status())
    fleet.add_served('/server', drone.served(('/drone1/edge_inference', 0.5)))
    title = "document.getElementById('drone')?.textContent"  # the page is loaded anew

    async def watch() -> None:
        server = LiveServer(fleet, '127.0.0.1', 0)
        try:
            async with browser.browsing(tmp_path) as page:
                await page.open(f'http://127.0.0.1:{server.port}/', 1360, 900)
                await page.until("document.querySelectorAll('#drones tr').length === 3")
                said = await page.evaluate(TEXT)
                assert 'captured 5 =' in said and 'block4_pool rans → /server' in said
                assert '1.3 of 8' in said and '/server2 no messages' in said
                assert 'no reply, 0 s ago' in said and '1.200 J (emulated)' in said
                assert await page.evaluate(
                    "document.querySelector('#fleet-servers tr').title") == (
                    '/drone1/edge_inference: 50 % of its time, queue 0, done 9')
                await click(page, "document.querySelectorAll('#drones tr')[1]")
                await page.until(f"{title} === '/drone2'")
                await page.until(f"{TEXT}.includes('captured 6 =')")
                assert await page.evaluate("document.querySelector('.chosen td').textContent"
                                           ) == '/drone2'
                async with asyncio.timeout(WAIT_S):
                    while server.viewed != {'/drone2'}:  # until the old page is missed
                        await asyncio.sleep(0.01)
                await page.call('Emulation.setDeviceMetricsOverride', width=390, height=844,
                                deviceScaleFactor=1, mobile=True)
                assert await page.evaluate('document.documentElement.scrollWidth') == 390
                assert not page.errors
        finally:
            await asyncio.to_thread(server.close)
    asyncio.run(watch())


async def click(page: browser.Page, element: str) -> None:
    """Click on an element slowly: the page draws between press and release."""
    x, y = await page.evaluate(f'(r => [r.x + 20, r.y + r.height / 2])'
                               f'({element}.getBoundingClientRect())')
    where = {'x': x, 'y': y, 'button': 'left', 'clickCount': 1}
    await page.call('Input.dispatchMouseEvent', type='mousePressed', **where)
    await page.evaluate("new Promise(r => source.addEventListener('state', r, {once: true}))"
                        '.then(() => true)')
    await page.call('Input.dispatchMouseEvent', type='mouseReleased', **where)


def test_one_drone_needs_no_table(state: LiveState, tmp_path: Path) -> None:
    async def visit(page: browser.Page, server: LiveServer) -> None:
        await page.until(DRAWN)
        assert await page.evaluate("document.getElementById('fleet').hidden")
    watched(state, tmp_path, visit)
