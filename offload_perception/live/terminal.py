"""The live state in a terminal, for a look over ssh: panels, or lines if there is less room."""

import os
import sys
import termios
import tty
from collections.abc import Iterable, Sequence
from math import inf
from select import select
from textwrap import wrap
from typing import Any

from offload_perception.errors import ConfigError
from offload_perception.telemetry.summary import percent

try:
    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text
except ImportError as e:
    raise ConfigError(f'the terminal view needs rich ({e}); pip install rich') from e

_LEVELS = {'error': 'bold red', 'silent': 'bold red', 'warning': 'bold yellow', 'ok': 'green'}
_ON = {'drone': 'blue', 'server': 'green'}
_BAR = 40
_COLUMNS, _ROWS = 100, 40  # a smaller terminal gets lines in place of panels
_FLEET_ROWS = 4  # of drones and of servers each, that a small terminal shows
_LONG, _IN_WIDE = ('state', 'computed', 'last drop'), ('J/frame', 'last drop')  # columns of drones
_HELP = 'n or down: the next drone in full; p or up: the one before; q ends'
_STEPS = {'\x1b[B': 1, 'n': 1, '\x1b[A': -1, 'p': -1}  # keys, and which drone of the table next
_WARNINGS, _LINES = 8, 3  # that are shown, and the most lines of each
_STATES = {'live': 'bold green', 'waiting': 'bold yellow', 'lost': 'bold red'}


class Screen:
    """The whole terminal, given back at the end."""

    def __init__(self) -> None:
        self._live = Live(screen=True, auto_refresh=False)
        self._before: list[Any] | None = None  # settings of the terminal

    def show(self, snapshot: dict[str, Any]) -> None:
        """Draw the current state."""
        self._live.update(render(snapshot, *self._live.console.size), refresh=True)

    @property
    def takes_keys(self) -> bool:
        """Return whether the terminal takes keys."""
        return self._before is not None

    def keys(self, timeout_s: float) -> str:
        """Return what is typed within a time; empty if nothing is."""
        ready, _, _ = select([sys.stdin], [], [], max(0.0, timeout_s))
        return os.read(sys.stdin.fileno(), 64).decode(errors='replace') if ready else ''

    def __enter__(self) -> 'Screen':
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)  # a key counts without Enter; Ctrl-C stays a signal
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)


def other_drone(names: Sequence[str], shown: str, keys: str) -> str:
    """Return the drone that keys choose: the next one by down or n, the one before by up or p."""
    steps = sum(keys.count(key) * by for key, by in _STEPS.items())
    if not names or not steps:
        return shown
    at = names.index(shown) if shown in names else -1 if steps > 0 else 0
    return names[(at + steps) % len(names)]


def render(s: dict[str, Any], width: int = 80, height: float = inf) -> RenderableType:
    """Return a snapshot of `FleetState`, in the given width and height; texts are never markup.

    One of `LiveState` has no table of the fleet.
    """
    fleet = s.get('fleet') or {'drones': []}
    if not any(d['name'] != s['drone'] for d in fleet['drones']):
        return _drone(s, width, height)
    room = max(_FLEET_ROWS, int(min(height, 200)) // 3 - 4)
    parts = [*_fleet(fleet, s['drone'], width, room), Text(_HELP, 'dim')]
    lines = sum(part.row_count + 1 if isinstance(part, Table) else 1 for part in parts)
    return Group(*parts, _drone(s, width, height - lines))


def _fleet(fleet: dict[str, Any], chosen: str, width: int, room: int) -> list[RenderableType]:
    """Return the tables of drones and servers; of drones at most `room`, with the chosen one."""
    drones = fleet['drones']
    at = next((k for k, d in enumerate(drones) if d['name'] == chosen), -1)
    first = max(0, min(at - room // 2, len(drones) - room))
    shown = drones[first:first + room]
    hidden = len(drones) - len(shown) + fleet['left_out']
    return [_table(width, [_drone_cells(d) for d in shown], at - first),
            *([Text(f'and {hidden} more drones', 'bold')] if hidden else []),
            _table(width, [_server_cells(x) for x in fleet['servers'][:room]])]


def _table(width: int, rows: list[dict[str, Text]], chosen: int = -1) -> Table:
    """Return rows of cells by title; the long ones give way if there is too little room."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style='dim')
    titles = [t for t in (rows[0] if rows else ()) if width >= _COLUMNS or t not in _IN_WIDE]
    widths = {t: max(len(t), *(row[t].cell_len for row in rows)) for t in titles}
    while sum(widths.values()) + len(widths) - 1 > width and (
            long := [t for t in titles if t in _LONG and widths[t] > len(t)]):
        widths[max(long, key=lambda t: widths[t])] -= 1
    for title in titles:
        table.add_column(title, no_wrap=True, overflow='ellipsis', width=widths[title])
    for k, row in enumerate(rows):
        table.add_row(*(row[t] for t in titles), style='reverse' if k == chosen else '')
    return table


def _drone_cells(d: dict[str, Any]) -> dict[str, Text]:
    share = d['met'] / d['with_deadline'] if d['with_deadline'] else None
    to_look_at = f', {d["warnings"]} to look at' if d['warnings'] else ''
    return {
        'drone': Text(d['name']),
        'state': Text(d['state']['words'] + to_look_at, _STATES[d['state']['kind']]),
        'fps': Text(f'{d["per_second"]:.1f}'),
        'met': Text('-' if share is None else percent(share)),
        'latency': Text(_seconds(d['mean'])), 'J/frame': Text(_figure(d['per_result'], '', 3)),
        'computed': Text(d['where'] + (f' > {d["server"]}' if d['server'] else '')),
        'last drop': Text(f'{d["dropped"]}, {_age(d["dropped_age_s"])}' if d['dropped'] else '-'),
        'frame': Text(_age(d['frame_age_s']))}


def _server_cells(x: dict[str, Any]) -> dict[str, Text]:
    name, figures = Text(x['name']), dict[str, str]()
    if x['age_s'] is None:
        name.append(': no messages', 'bold red')
    else:
        batch = '-' if x['mean_batch'] is None else f'{x["mean_batch"]:.1f} of {x["batch"]}'
        figures = {'batch': batch, 'done': f'{x["completed"]}', 'refused': f'{x["busy"]}',
                   'late': f'{x["late"]}', 'failed': f'{x["failed"]}'}
        if x['silent']:
            name.append(f' SILENT for {x["age_s"]:.0f} s', 'bold red')
        else:
            figures |= {'wait': _seconds(x['expected_wait']), 'queue': f'{x["queue"]}',
                        'busy': percent(x['utilisation'] or 0.0)}
    return {'server': name, 'drones': Text(str(x['drones'])), **{
        title: Text(figures.get(title, '-'))
        for title in ('wait', 'busy', 'queue', 'batch', 'done', 'refused', 'late', 'failed')}}


def _age(seconds: float | None) -> str:
    return 'never' if seconds is None else f'{seconds:.0f} s ago'


def _drone(s: dict[str, Any], width: int, height: float) -> RenderableType:
    """Return a drone in full."""
    if width < _COLUMNS or height < _ROWS:
        return _lines(s, width, height)
    panels = [Panel(part, title=title, title_align='left') for title, part in (
        ('latency', _latency(s['latency'])), ('layers', _network(s['network'])),
        ('frames', _counts(s)), ('power', _power(s['power'])),
        ('link and servers', _link(s)), ('warnings', Group(*_warnings(s, width // 2 - 4, inf))))]
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    for left, right in zip(panels[::2], panels[1::2], strict=True):
        grid.add_row(left, right)
    return Group(*_head(s), grid)


def _lines(s: dict[str, Any], width: int, height: float) -> Group:
    """Return all in lines without frames; the warnings get the room that is left."""
    figures = [line for title, part in (
        ('latency', _short_latency(s['latency'])), ('layers', _network_lines(s['network'])[:3]),
        ('frames', _count_lines(s)), ('power', _power_lines(s['power'])),
        ('link', _link_lines(s)), ('servers', _servers(s)))
        for line in _titled(title, part)]
    head = _head(s)
    warnings = _warnings(s, width, max(4, height - len(head) - len(figures)))
    lines = [*head, *warnings, *figures][:int(min(height, 1000))]
    for line in lines:
        line.no_wrap, line.overflow = True, 'ellipsis'
    return Group(*lines)


def _titled(title: str, lines: Iterable[Text]) -> list[Text]:
    """Return lines with a title before the first one."""
    return [Text.assemble((f'{"" if k else title:8}', 'bold'), line)
            for k, line in enumerate(lines)]


def _head(s: dict[str, Any]) -> list[Text]:
    """Return the lines above all others: state, newest result, what flies, and caveats."""
    state, recording = s['state'], s['recording']
    line = Text.assemble((f' {s["drone"]} ', 'bold reverse'), ' ',
                         (state['words'], _STATES[state['kind']]))
    if s['flight_s'] is not None:
        line.append(f'  {_clock(s["flight_s"])}')
    if recording is not None:
        line.append('  recording' if recording['on'] else '  NOT RECORDING',
                    'bold red' if recording['on'] else 'bold yellow')
    if result := s['result']:
        line.append(f'  {result["words"]}')
        if result['judged']:
            line.append(f'  right {result["right"]} of {result["judged"]}')
    about = s['about']
    flies = [Text(f'{about["model"]} ({about["weights"]}), {about["source"]}', 'dim')] if (
        about['model']) else []
    return [line, *flies, *(Text(words, 'bold red') for words in s['caveats'])]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02}'


def _short_latency(t: dict[str, Any] | None) -> list[Text]:
    if t is None:
        return [Text('no result yet')]
    stages = {**t['stages'], 'other': t['rest']}
    return [_latency_line(t), Text(', '.join(f'{name.replace("_", " ")} {_seconds(took)}'
                                             for name, took in stages.items() if took))]


def _latency_line(t: dict[str, Any]) -> Text:
    deadline = f', deadline {_seconds(t["deadline"])}' if t['deadline'] else ''
    met = f', met {t["met"]} of {t["with_deadline"]}' if t['with_deadline'] else ''
    return Text(f'mean {_seconds(t["mean"])}, p95 {_seconds(t["p95"])}{deadline}{met}, '
                f'{t["per_second"]:.1f}/s', 'bold')


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
    return Group(_latency_line(t), lines)


def _network(n: dict[str, Any] | None) -> RenderableType:
    return Group(*_network_lines(n))


def _network_lines(n: dict[str, Any] | None) -> list[Text]:
    if n is None:
        return [Text('no result yet')]
    strip = Text()
    for k, layer in enumerate(n['layers'], 1):
        strip.append('█ ' if layer['on'] == 'drone' else '░ ', _ON[layer['on']])
        if k == n['split'] and not n['local']:
            strip.append('┃ ', 'bold yellow')
    cut = 'all on board' if n['local'] else (
        f'cut after {n["split_name"]} ({n["split"]}), {n["codec"]}, {n["bytes"]} bytes')
    tail = '' if n['local'] else f', server ░ {n["tail"]} at {n["server"]}'
    return [strip, Text(cut, 'bold'), Text(f'drone █ {n["head"] or "no layer"}{tail}'),
            Text(n['reason'], 'dim')]


def _counts(s: dict[str, Any]) -> RenderableType:
    return Group(*_count_lines(s))


def _count_lines(s: dict[str, Any]) -> list[Text]:
    c = s['counts']
    under_way = f' + under way {c["under_way"]}' if c['under_way'] else ''
    dropped = ', '.join(f'{reason}: {n}' for reason, n in c['reasons'].items())
    return [
        Text(f'captured {c["captured"]} = remote {c["remote"]} + local {c["local"]} + dropped '
             f'{c["dropped"]}{under_way}', 'bold'),
        *([Text(f'dropped, {dropped}')] if dropped else []),
        *([Text(f'mission policy {s["policy"]}')] if s['policy'] else [])]


def _power(p: dict[str, Any] | None) -> RenderableType:
    return Group(*_power_lines(p))


def _power_lines(p: dict[str, Any] | None) -> list[Text]:
    if p is None:
        return [Text('no power meter')]
    line = Text.assemble((f'{_figure(p["power"], "W", 2)}, {_figure(p["per_result"], "J", 3)} a '
                          f'frame, metered {percent(p["metered"])}', 'bold'), f'  {p["source"]}')
    if p['silent']:
        line.append(f'  SILENT for {p["age_s"]:.0f} s', 'bold red')
    return [line]


def _link(s: dict[str, Any]) -> RenderableType:
    return Group(*_link_lines(s), *_servers(s))


def _link_lines(s: dict[str, Any]) -> list[Text]:
    link = s['link']
    line = Text(f'sent {link["sent_per_second"] / 1e3:.1f} kB/s, on the link '
                f'{_seconds(link["time"])}')
    if link['round_trip'] is not None:
        bandwidth = link['bandwidth']
        estimate = 'bandwidth unknown' if bandwidth is None else f'{bandwidth / 1e3:.0f} kB/s'
        line.append(f'; estimated {estimate}, round trip {_seconds(link["round_trip"])}')
    return [line]


def _servers(s: dict[str, Any]) -> list[Text]:
    return [_server(x, x['name'] in s['foreign']) for x in s['servers']]


def _server(x: dict[str, Any], foreign: bool) -> Text:
    if x['age_s'] is None:
        return Text(f'{x["name"]}: no messages', 'yellow')
    if x['silent']:
        return (Text(f'{x["name"]}: SILENT for {x["age_s"]:.0f} s', 'bold red') if x['used'] else
                Text(f'{x["name"]}: silent for {x["age_s"]:.0f} s, no frame goes there'))
    other = [(' ANOTHER MODEL', 'bold red')] if foreign else []
    return Text.assemble(
        f'{x["name"]}: {x["runs_on"]}', *other, f', busy {_figure(x["utilisation"])} of 1, queue '
        f'{x["queue"]}, wait {_seconds(x["expected_wait"])}, rejected {x["rejected"]}',
        '' if x['power'] is None else (f', {_figure(x["power"], "W")}, '
                                       f'{_figure(x["frame_energy"], "J", 3)} a frame'))


def _warnings(s: dict[str, Any], width: int, room: float) -> list[Text]:
    """Return the warnings in at most `room` lines, and how many there is no room for."""
    found, lines = s['warnings'], list[Text]()
    for k, item in enumerate(found):
        node = item['node'].removeprefix(f'{s["drone"].rstrip("/")}/')
        wrapped = wrap(f'{item["level"]} {node}: {item["text"]}', max(20, width))[:_LINES]
        if k and (k >= _WARNINGS or len(lines) + len(wrapped) >= room):
            return [*lines, Text(f'and {len(found) - k} more', 'bold')]
        lines += [Text(line, _LEVELS[item['level']]) for line in wrapped]
    well = sum(h['level'] == 'ok' for h in s['health'])
    return [*lines, Text(f'{well} of {len(s["health"])} nodes are well', 'green')]


def _seconds(s: float | None) -> str:
    if s is None:
        return '-'
    return f'{s:.2f} s' if s >= 1 else f'{s * 1e3:.1f} ms'


def _figure(value: float | None, unit: str = '', digits: int = 2) -> str:
    return '-' if value is None else f'{value:.{digits}f} {unit}'.rstrip()
