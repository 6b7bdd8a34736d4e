"""The layouts for Foxglove and PlotJuggler name only topics and fields that exist."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offload_perception.bringup.arguments import arguments
from offload_perception.bringup.graph import DRONE

ROOT = Path(__file__).parents[3]
FOXGLOVE = json.loads((ROOT / 'config/foxglove_layout.json').read_text())
PLOTJUGGLER = ET.parse(ROOT / 'config/plotjuggler_layout.xml').getroot()
DRONE_NS = '/' + arguments(DRONE)['namespace'].default
ROW = re.compile(r'^\| `([\w/]+)`[^|]*\| (?:[\w]+/)?(\w+)', re.M)
FIELD = re.compile(r'^([\w/]+)(\[\])?\s+([a-z]\w*)\s*#?', re.M)


def topics() -> dict[str, str]:
    """Return the type of every topic by its whole name, as the README lists them."""
    rows = dict(ROW.findall((ROOT / 'README.md').read_text().split('## Topics')[1]
                            .split('## Parameters')[0]))
    return {t if t[0] == '/' else f'{DRONE_NS}/{t}': kind for t, kind in rows.items()}


def fields(kind: str) -> dict[str, bool]:
    """Return the fields of a message of ours, and which are arrays."""
    found = FIELD.findall((ROOT / 'msg' / f'{kind}.msg').read_text())
    return {name: bool(array) for _, array, name in found}


def exists(topic: str, field: str) -> bool:
    name, is_array = re.fullmatch(r'(\w+)(\[\d+\])?', field).groups()
    known = fields(topics()[topic])
    return name in known and known[name] == bool(is_array)


def values(tree: dict[str, Any] | list[dict[str, Any]], *keys: str) -> Iterator[Any]:
    """Yield what stands under some keys, at any depth."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if key in keys:
            yield value
        elif isinstance(value, (dict, list)):
            yield from values(value, *keys)


FOXGLOVE_PATHS = list(values(FOXGLOVE['configById'], 'value'))
CURVES = [c.attrib['name'] for c in PLOTJUGGLER.iter('curve')]


@pytest.mark.parametrize('path', FOXGLOVE_PATHS)
def test_every_path_of_foxglove_exists(path: str) -> None:
    assert exists(*path.split('.'))


@pytest.mark.parametrize('curve', CURVES)
def test_every_curve_of_plotjuggler_exists(curve: str) -> None:
    assert exists(*curve.rsplit('/', 1))


def test_every_whole_topic_exists() -> None:
    named = [*values(FOXGLOVE, 'topicPath', 'topicToRender', 'imageTopic')]
    for selected in PLOTJUGGLER.iter('selected_topics'):
        named += selected.attrib['value'].split(';')
    assert len(named) > 10 and set(named) <= set(topics())


def test_the_curves_come_from_the_topics_that_are_selected() -> None:
    for selected in PLOTJUGGLER.iter('selected_topics'):
        chosen = selected.attrib['value'].split(';')
        assert {c.rsplit('/', 1)[0] for c in CURVES} == set(chosen)


def test_the_check_sees_what_does_not_exist() -> None:
    assert exists('/drone1/frame_latency', 'head') and not exists('/drone1/power', 'watts')
    assert not exists('/drone1/classification', 'labels')  # an array has no curve of its own
    assert '/drone1/no_topic' not in topics()


def test_every_panel_of_foxglove_is_shown_once() -> None:
    def shown(layout: Any) -> Any:
        if isinstance(layout, str):
            return [layout]
        return [x for side in ('first', 'second') for x in shown(layout[side])]
    panels = shown(FOXGLOVE['layout'])
    for tab in FOXGLOVE['configById']['Tab!details']['tabs']:
        panels += shown(tab['layout'])
    assert sorted(panels) == sorted(FOXGLOVE['configById'])
    assert {'globalVariables', 'userNodes', 'playbackConfig'} <= set(FOXGLOVE)


def test_plotjuggler_knows_every_element_of_the_file() -> None:
    tabs = PLOTJUGGLER.find('tabbed_widget').findall('Tab')
    assert len(tabs) == 6
    for splitter in PLOTJUGGLER.iter('DockSplitter'):
        areas = splitter.findall('DockArea')
        assert len(areas) == int(splitter.attrib['count'])
        assert len(areas) == len(splitter.attrib['sizes'].split(';'))
        assert all(a.find('plot').attrib['style'] in ('Lines', 'Steps') for a in areas)
