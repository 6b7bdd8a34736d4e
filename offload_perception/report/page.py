"""A report as one HTML page that needs no network: pictures are inside it."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from offload_perception.report import analysis, fleet_tables, text
from offload_perception.report.charts import CHARTS, Chart
from offload_perception.report.recorded_flight import Flight

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.45 system-ui, sans-serif; color: #1d2630; background: #f3f5f7; margin: 0; }
main { max-width: 1200px; margin: 0 auto; padding: 12px; }
h1 { font-size: 1.4rem; margin: 8px 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 4px; }
h3 { font-size: .95rem; margin: 8px 0 4px; color: #51606f; }
section { background: #fff; border-radius: 10px; padding: 12px; margin: 12px 0; }
.row { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); }
.row > * { min-width: 0; }
.row > section { margin: 0; }
img { display: block; width: 100%; max-width: 750px; height: auto; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; margin: 6px 0; }
p { margin: 4px 0; color: #51606f; font-size: .92rem; }
.caveat { color: #fff; background: #a93226; border-radius: 6px; padding: 6px 10px; }
.wide { overflow-x: auto; }
details p { overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .9rem; }
td, th { padding: 3px 10px 3px 0; text-align: left; border-bottom: 1px solid #e4e8ec; }
td:not(:first-child) { font-variant-numeric: tabular-nums; }
"""  # noqa: E501


def page(flights: list[Flight], shown: list[Flight],
         pictures: dict[tuple[str, int], Path]) -> str:
    """Return the page.

    :param shown: those of the flights that are reported in full.
    :param pictures: from a chart's name and a shown flight's place to its PNG.
    """
    title, fleet = text.title(flights), _fleets(flights, shown)
    flights = shown
    drawn = {name for name, _ in pictures}
    charts = ''.join(_chart(chart, flights, pictures) for chart in CHARTS if chart.name in drawn)
    if len(flights) == 1:  # the charts side by side, else the flights
        charts = f'<div class="row">{charts}</div>'
    sections = [fleet, _overview(flights), _figures(flights), charts, _changes(flights),
                _diagnostics(flights), _setup(flights), _missing(drawn)]
    return ('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{escape(title)}</title><style>{_STYLE}</style></head>'
            f'<body><main><h1>{escape(title)}</h1>{"".join(sections)}</main>'
            '</body></html>\n')


def _fleets(flights: list[Flight], shown: list[Flight]) -> str:
    """Return a section for each bag with several drones."""
    sections = []
    for fleet in fleet_tables.fleets(flights):
        tables = ''.join(f'<h3>{escape(name)}</h3>{_table(head, rows)}'
                         for name, head, rows in text.fleet_tables(fleet))
        sections.append(f'<section><h2>All drones of {escape(fleet[0].bag.stem)}</h2>'
                        f'<p>{escape(fleet_tables.line(fleet))}</p>{tables}</section>')
    more = text.left_out(flights, shown)
    return ''.join(sections) + (f'<p>{escape(more)}</p>' if more else '')


def _overview(flights: list[Flight]) -> str:
    cells = []
    for flight in flights:
        warnings = ''.join(f'<p class="caveat">{escape(c)}</p>' for c in text.caveats(flight))
        lines = escape('\n'.join(flight.closing_lines))
        cells.append(f'<div><h2>{escape(flight.name)}</h2><p>Drone {escape(flight.namespace)}, '
                     f'{flight.duration_s:.1f} s</p>{warnings}<pre>{lines}</pre></div>')
    return f'<section><div class="row">{"".join(cells)}</div></section>'


def _figures(flights: list[Flight]) -> str:
    tables = [_table(*text.comparison(flights))]
    for flight in flights:
        if misses := analysis.miss_counts(flight).most_common():
            tables.append(f'<h3>Deadline misses: {escape(flight.name)}</h3>'
                          + _table(['reason', 'frames'], misses))
        tables += [f'<h3>What was found: {escape(flight.name)}</h3>' + _table(head, rows)
                   for head, rows in text.found_tables(flight)]
        if policies := text.policy_rows(flight):
            tables.append(f'<h3>Mission policy: {escape(flight.name)}</h3>'
                          + _table(text.POLICY_HEAD, policies))
    cells = ''.join(f'<div>{t}</div>' for t in tables)
    return f'<section><h2>Key figures</h2><div class="row">{cells}</div></section>'


def _changes(flights: list[Flight]) -> str:
    cells = ''.join(f'<div><h3>{escape(f.name)}</h3>{_table(text.CHANGE_HEAD, rows)}</div>'
                    for f in flights if (rows := text.change_rows(f)))
    return (f'<section><h2>Changes of the choice, explained</h2><div class="row">{cells}</div>'
            '</section>' if cells else '')


def _diagnostics(flights: list[Flight]) -> str:
    cells = ''.join(f'<div><h3>{escape(f.name)}</h3>{_warnings(f)}</div>' for f in flights)
    return (f'<section><h2>Diagnostics above OK</h2><div class="row">{cells}</div></section>')


def _warnings(flight: Flight) -> str:
    """Return the warnings as paragraphs: a table of such texts is too wide for a phone."""
    return ''.join(f'<p><b>{escape(node)}</b>, {times} times: {escape(said)}</p>'
                   for node, said, times in text.warning_rows(flight)) or '<p>none</p>'


def _setup(flights: list[Flight]) -> str:
    rows = _table(['', *(f.name for f in flights)], text.setup_rows(flights))
    cells = ''.join(f'<div><h3>{escape(f.name)}</h3>{_parameters(f)}</div>' for f in flights)
    return f'<section><h2>Set-up</h2>{rows}<div class="row">{cells}</div></section>'


def _parameters(flight: Flight) -> str:
    nodes = ''.join(f'<p><b>{escape(node)}</b> {escape(words)}</p>'
                    for node, words in text.parameters(flight))
    notes = ''.join(f'<p>{escape(note)}</p>' for note in flight.notes)
    return (f'<details><summary>Parameters of every node</summary>{nodes}</details>'
            if nodes else '<p>The bag does not contain the parameters.</p>') + notes


def _missing(drawn: set[str]) -> str:
    titles = ', '.join(escape(c.title) for c in CHARTS if c.name not in drawn)
    return f'<p>Nothing in the bag for: {titles}.</p>' if titles else ''


def _chart(chart: Chart, flights: list[Flight], pictures: dict[tuple[str, int], Path]) -> str:
    cells = [_picture(flight, pictures.get((chart.name, n)), chart.title, len(flights) > 1)
             for n, flight in enumerate(flights)]
    return (f'<section><h2>{escape(chart.title)}</h2><p>{escape(chart.text)}</p>'
            f'<div class="row">{"".join(cells)}</div></section>')


def _picture(flight: Flight, picture: Path | None, title: str, named: bool) -> str:
    name = f'<h3>{escape(flight.name)}</h3>' if named else ''
    if picture is None:
        return f'<div>{name}<p>Nothing of this in the bag.</p></div>'
    data = b64encode(picture.read_bytes()).decode()
    return (f'<div>{name}<img alt="{escape(title)}, {escape(flight.name)}" '
            f'src="data:image/png;base64,{data}"></div>')


def _table(head: list[str], rows: Sequence[Sequence[Any]]) -> str:
    def row(cells: Sequence[Any], tag: str) -> str:
        return '<tr>' + ''.join(f'<{tag}>{escape(str(c))}</{tag}>' for c in cells) + '</tr>'
    body = row(head, 'th') + ''.join(row(r, 'td') for r in rows)
    return f'<div class="wide"><table>{body}</table></div>'
