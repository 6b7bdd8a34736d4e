"""A demo is watched while it flies."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from graph.command import Command

pytest.importorskip('aiohttp')
PAGE = r'live page on (http://127\.0\.0\.1:\d+/)'


def states(url: str) -> Iterator[Any]:
    """Yield the events that a viewer of the page gets."""
    with urllib.request.urlopen(f'{url}events', timeout=20) as answer:
        kind = ''
        for line in answer:
            name, _, value = line.decode().strip().partition(': ')
            kind = value if name == 'event' else kind
            if name == 'data':
                yield kind, json.loads(value)


def is_whole(state: dict[str, Any]) -> bool:
    """Return whether frames, meter and the nodes at both ends have arrived."""
    nodes = {h['name'] for h in state['health']}
    return bool(state['counts']['remote'] > 5 and state['power']
                and nodes >= {'/drone1/edge_inference', '/server/remote_inference'}
                and state['about']['source'])


def test_the_page_of_a_demo_shows_pictures_and_counts_that_add_up(
        run: Callable[..., Command], arguments: list[str]) -> None:
    demo = run('demo', *arguments, 'dashboard:=true', 'dashboard_port:=0')
    shown = {}
    for kind, value in states(demo.said(PAGE)[1]):
        shown[kind] = value
        if 'picture' in shown and shown['picture']['result'] and is_whole(shown['state']):
            break
    state = shown['state']
    c = state['counts']
    assert c['captured'] == c['remote'] + c['local'] + c['dropped'] + c['under_way']
    assert state['drone'] == '/drone1' and state['power']['emulated']
    demo.interrupt()
    assert demo.wait() == 0, demo.output
    assert demo.nobody_is_left()
