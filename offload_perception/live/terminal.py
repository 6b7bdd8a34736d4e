"""The live state as panels in a terminal, for a look over ssh."""

from typing import Any

from offload_perception.errors import ConfigError

try:
    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text
except ImportError as e:
    raise ConfigError(f'the terminal view needs rich ({e}); pip install rich') from e

NO_FRAME_S = 3.0
_LEVELS = {'error': 'bold red', 'silent': 'bold red', 'warning': 'bold yellow', 'ok': 'green'}
_ON = {'drone': 'blue', 'server': 'green'}
_BAR = 40
_COLUMNS = 100  # narrower terminals show one panel below the other
_WORDS = 160  # of a node's message; the web page shows more


class Screen:
    """The whole terminal, given back at the end."""

    def __init__(self) -> None:
        self._live = Live(screen=True, auto_refresh=False)

    def show(self, snapshot: dict[str, Any]) -> None:
        """Draw what goes on now."""
        self._live.update(render(snapshot, self._live.console.width), refresh=True)

    def __enter__(self) -> 'Screen':
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def render(s: dict[str, Any], width: int = 80) -> RenderableType:
    """Return a snapshot of `LiveState` as panels; texts are never read as markup."""
    panels = [Panel(part, title=title, title_align='left') for title, part in (
        ('latency', _latency(s['latency'])), ('layers', _network(s['network'])),
        ('frames', _counts(s)), ('power', _power(s['power'])),
        ('link and servers', _link(s)), ('warnings', _health(s['health'])))]
    if width < _COLUMNS:
        return Group(_head(s), *panels)
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    for left, right in zip(panels[::2], panels[1::2], strict=True):
        grid.add_row(left, right)
    return Group(_head(s), grid)


def _head(s: dict[str, Any]) -> Text:
    age = s['frame_age_s']
    line = Text.assemble((f' {s["drone"]} ', 'bold reverse'), ' ')
    if age is None:
        line.append('no frame yet', 'bold yellow')
    elif age > NO_FRAME_S:
        line.append(f'NO FRAME FOR {age:.0f} s', 'bold red')
    else:
        line.append('live', 'bold green')
    if result := s['result']:
        line.append('  ' + ', '.join(f'{x["label"]} {x["score"]:.0%}' for x in result['labels']))
        if not result['trained']:
            line.append('  UNTRAINED: labels mean nothing', 'bold red')
        if result['judged']:
            line.append(f'  right {result["right"]} of {result["judged"]}')
    bad = [h['level'] for h in s['health'] if h['level'] != 'ok']
    if bad:  # the panel of warnings may lie below the last line
        line.append(f'  {len(bad)} of {len(s["health"])} nodes warn', _LEVELS[bad[0]])
    return line


def _latency(t: dict[str, Any] | None) -> RenderableType:
    if t is None:
        return Text('no result yet')
    lines = Table.grid(padding=(0, 1))
    stages = {**t['stages'], 'other': t['rest']}
    longest = max(stages.values()) or 1.0
    for name, took in stages.items():
        if took:
            bar = '█' * max(1, round(_BAR * took / longest))
            lines.add_row(name.replace('_', ' '), _seconds(took), Text(bar, no_wrap=True,
                                                                      overflow='crop'))
    deadline = f', deadline {_seconds(t["deadline"])}' if t['deadline'] else ''
    met = f', met {t["met"]} of {t["with_deadline"]}' if t['with_deadline'] else ''
    return Group(
        Text(f'mean {_seconds(t["mean"])}, p95 {_seconds(t["p95"])}{deadline}{met}', 'bold'),
        lines, Text(f'{t["per_second"]:.1f} results a second'))


def _network(n: dict[str, Any] | None) -> RenderableType:
    if n is None:
        return Text('no result yet')
    strip = Text()
    for k, layer in enumerate(n['layers'], 1):
        strip.append('█ ' if layer['on'] == 'drone' else '░ ', _ON[layer['on']])
        if k == n['split'] and not n['local']:
            strip.append('┃ ', 'bold yellow')
    cut = 'all on board' if n['local'] else (
        f'cut behind {n["split_name"]} ({n["split"]}), {n["codec"]}, {n["bytes"]} bytes')
    tail = '' if n['local'] else f'server ░ {n["tail"]} at {n["server"]}'
    return Group(strip, Text(cut, 'bold'), Text(f'drone █ {n["head"] or "no layer"}'), Text(tail),
                 Text(n['reason'], 'dim'))


def _counts(s: dict[str, Any]) -> RenderableType:
    c = s['counts']
    under_way = f' + under way {c["under_way"]}' if c['under_way'] else ''
    return Group(
        Text(f'captured {c["captured"]} = remote {c["remote"]} + local {c["local"]} + dropped '
             f'{c["dropped"]}{under_way}', 'bold'),
        *(Text(f'dropped, {reason}: {n}') for reason, n in c['reasons'].items()),
        *([Text(f'mission policy {s["policy"]}')] if s['policy'] else []))


def _power(p: dict[str, Any] | None) -> RenderableType:
    if p is None:
        return Text('no meter heard')
    lines = [Text(f'{_figure(p["power"], "W", 2)}, {_figure(p["per_result"], "J", 3)} a frame',
                  'bold'), Text(p['source'])]
    if p['emulated']:
        lines.append(Text('EMULATED: modelled, not measured', 'bold red'))
    if p['age_s'] > NO_FRAME_S:
        lines.append(Text(f'silent for {p["age_s"]:.0f} s', 'bold red'))
    return Group(*lines)


def _link(s: dict[str, Any]) -> RenderableType:
    link = s['link']
    lines = [Text(f'sent {link["sent_per_second"] / 1e3:.1f} kB/s, on the link '
                  f'{_seconds(link["time"])}')]
    if link['bandwidth'] is not None:
        lines.append(Text(f'estimated {link["bandwidth"] / 1e3:.0f} kB/s, round trip '
                          f'{_seconds(link["round_trip"])}'))
    for server in s['servers']:
        if server['age_s'] is None:
            lines.append(Text(f'{server["name"]}: not heard of', 'yellow'))
            continue
        lines.append(Text(
            f'{server["name"]}: {server["runs_on"]}, busy {_figure(server["utilisation"])} of 1, '
            f'queue {server["queue"]}, wait {_seconds(server["expected_wait"])}, turned away '
            f'{server["turned_away"]}'))
    return Group(*lines)


def _health(nodes: list[dict[str, Any]]) -> RenderableType:
    lines = [Text.assemble((f'{h["level"]} ', _LEVELS[h['level']]), f'{h["name"]}: ',
                           f'silent for {h["age_s"]:.0f} s; ' if h['level'] == 'silent' else '',
                           h['message'][:_WORDS])
             for h in nodes if h['level'] != 'ok']
    well = sum(h['level'] == 'ok' for h in nodes)
    return Group(*lines, Text(f'{well} nodes are well', 'green'))


def _seconds(s: float | None) -> str:
    if s is None:
        return '-'
    return f'{s:.2f} s' if s >= 1 else f'{s * 1e3:.1f} ms'


def _figure(value: float | None, unit: str = '', digits: int = 2) -> str:
    return '-' if value is None else f'{value:.{digits}f} {unit}'.rstrip()
