"""A report's words: headings, caveats, the table of key figures, and the Markdown summary."""

from math import isfinite, isnan, nan
from statistics import mean, stdev
from typing import Any

from offload_perception.console import table
from offload_perception.network.output_meaning import CLASSIFICATION, DETECTION, SEGMENTATION
from offload_perception.report import analysis
from offload_perception.report import fleet_tables as fleet_report
from offload_perception.report.recorded_flight import Flight
from offload_perception.telemetry.meaning import player_of
from offload_perception.telemetry.records import PARAMETER


def caveats(flight: Flight) -> list[str]:
    """Return what a reader must know before the figures."""
    found = []
    if flight.emulated:
        found.append('The power meter was EMULATED: watts and joules are modelled from the '
                     'load of the computer, not measured.')
    if computer := (flight.summary.emulated
                    or flight.values_of('edge_inference').get('emulates')):
        found.append(f'The computer was EMULATED: layers on board were paced as on {computer}, so '
                     'their times are not those of the computer that ran them.')
    found += [f'{words[0].upper()}{words[1:]}.' for words in flight.caveats]
    if flight.truncated:
        found.append('The recorder was killed: the bag has no end, but all that was written '
                     'until then.')
    if flight.growing:
        found.append('The bag is still being recorded: this is the flight until now.')
    return found


def setup_rows(flights: list[Flight]) -> list[list[str]]:
    """Return the rows of the table of what was flown, a column for each flight."""
    columns = [_setup(f) for f in flights]
    return [[name, *(c[name] or 'unknown' for c in columns)] for name in columns[0]]


def _setup(flight: Flight) -> dict[str, str]:
    edge, camera = flight.values_of('edge_inference'), flight.values_of('camera')

    def every(name: str) -> str:
        return ', '.join(dict.fromkeys(s[name] for s in flight.setups.values() if s.get(name)))
    return {
        'model': edge.get('model', '') or ', '.join(sorted(flight.models)),
        'weights': edge.get('weights', ''), 'source': player_of(edge, camera).get('source', ''),
        'emulated computer': flight.summary.emulated or edge.get('emulates') or 'none',
        'computer': every('computer'), 'system': every('system'), 'host': every('host'),
        'versions': every('versions')}


def parameters(flight: Flight) -> list[tuple[str, str]]:
    """Return each node with its parameters in words."""
    return [(node, ', '.join(f'{k.removeprefix(PARAMETER)}: {v}' for k, v in setup.items()
                             if k.startswith(PARAMETER)))
            for node, setup in sorted(flight.setups.items())]


def comparison(flights: list[Flight]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of key figures.

    Two flights get their change, more of them mean and standard deviation of the known values.
    """
    columns = [analysis.key_figures(f) for f in flights]
    more = {1: [], 2: ['change']}.get(len(flights), ['mean', 'standard deviation'])
    if fleet_report.fleets(flights):  # drones of one bag are no repetitions
        more = []
    head = ['', *(f.name for f in flights), *more]
    rows = []
    for name in columns[0]:
        values = [c[name] for c in columns]
        compared = [_change(*values)] if len(flights) == 2 else _mean_and_deviation(values)
        rows.append([name, *map(_number, values), *compared[:len(more)]])
    return head, rows


def _mean_and_deviation(values: list[float]) -> list[str]:
    known = [v for v in values if isfinite(v)]
    return [_number(mean(known) if known else nan), _number(stdev(known) if known[1:] else nan)]


def _number(value: float) -> str:
    if not isfinite(value):
        return 'unknown'
    if value == int(value):
        return f'{int(value):,}'
    return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:#.3g}'.rstrip('.')


def _change(before: float, after: float) -> str:
    if isnan(before) or isnan(after) or before == 0:
        return ''
    return f'{(after - before) / abs(before):+.0%}'


POLICY_HEAD = ['policy', 'held [s]', 'frames', 'of them paced']


def policy_rows(flight: Flight) -> list[list[Any]]:
    """Return the rows of the table of mission policies; none if there was none."""
    return [[name, f'{held_s:.1f}', frames, paced]
            for name, held_s, frames, paced in analysis.policy_counts(flight)]


_FOUND_HEADS = {CLASSIFICATION: ['best label', 'results', 'mean score'],
                DETECTION: ['label', 'results with it', 'objects'],
                SEGMENTATION: ['class', 'results with it', 'share of all pictures']}
_FOUND_ROWS = 20


def found_tables(flight: Flight) -> list[tuple[list[str], list[list[Any]]]]:
    """Return the head and the rows of a table of the commonest labels, for each kind of result."""
    return [(_FOUND_HEADS[kind], [
        [row.label, row.results, f'{row.amount:.0f}' if kind == DETECTION else f'{row.amount:.1%}']
        for row in rows[:_FOUND_ROWS]])
        for kind, counts in flight.summary.found.items()
        if kind in _FOUND_HEADS and (rows := counts.rows())]


CHANGE_HEAD = ['time [s]', 'from', 'to', 'reason', 'held [s]']


def change_rows(flight: Flight) -> list[list[Any]]:
    """Return the rows of the table of the choice's longest lasting changes."""
    return [[f'{c.t:.1f}', c.before, c.after, c.reason, f'{c.held_s:.1f}']
            for c in analysis.changes(flight)]


WARNING_HEAD = ['node', 'last text', 'times']


def warning_rows(flight: Flight) -> list[list[Any]]:
    """Return the rows of the table of the commonest diagnostics above OK."""
    return [[node, flight.texts[node, name], n]
            for (node, name), n in flight.warnings.most_common(10)]


def fleet_tables(fleet: list[Flight]) -> list[tuple[str, list[str], list[list[Any]]]]:
    """Return title, head and rows of each table of a bag with several drones."""
    found = [('Drones', fleet_report.DRONE_HEAD, fleet_report.drone_rows(fleet)),
             ('Servers', fleet_report.SERVER_HEAD, fleet_report.server_rows(fleet)),
             ('What servers did for each drone', fleet_report.SERVED_HEAD,
              fleet_report.served_rows(fleet))]
    return [(title, head, rows) for title, head, rows in found if rows]


def left_out(flights: list[Flight], shown: list[Flight]) -> str:
    """Return that not all drones are reported in full; empty if they are."""
    return '' if len(shown) == len(flights) else (
        f'In full below: {len(shown)} of {len(flights)} drones, those that met the smallest share '
        'of their deadlines. --namespace reports any one of them.')


def markdown(flights: list[Flight], shown: list[Flight], files: list[str]) -> str:
    """Return the summary of a report as Markdown.

    :param shown: those of the flights that are reported in full.
    :param files: those that lie beside it.
    """
    parts = [f'# {title(flights)}']
    for fleet in fleet_report.fleets(flights):
        parts += [f'## All drones of {fleet[0].bag.stem}', fleet_report.line(fleet) + '.']
        for name, head, rows in fleet_tables(fleet):
            parts += [f'### {name}', table(head, rows)]
    parts += filter(None, [left_out(flights, shown)])
    flights = shown
    for flight in flights:
        parts += [f'## {flight.name}', f'Drone `{flight.namespace}`, {flight.duration_s:.1f} s.']
        parts += [f'**{c}**' for c in caveats(flight)]
        parts.append('```\n' + '\n'.join(flight.closing_lines) + '\n```')
    head, rows = comparison(flights)
    parts += ['## Key figures', table(head, rows),
              '## Set-up', table(['', *(f.name for f in flights)], setup_rows(flights))]
    for flight in flights:
        if misses := analysis.miss_counts(flight).most_common():
            parts += [f'## Deadline misses: {flight.name}', table(['reason', 'frames'], misses)]
        for head, rows in found_tables(flight):
            parts += [f'## What was found: {flight.name}', table(head, rows)]
        if policies := policy_rows(flight):
            parts += [f'## Mission policy: {flight.name}', table(POLICY_HEAD, policies)]
        if changes := change_rows(flight):
            parts += [f'## Changes of the choice, explained: {flight.name}',
                      table(CHANGE_HEAD, changes)]
        if flight.setups:
            parts += [f'## Parameters: {flight.name}', '\n'.join(
                f'- `{node}` {words}' for node, words in parameters(flight))]
        if flight.notes:
            parts += [f'## Notes on the bag: {flight.name}', '\n'.join(flight.notes)]
        if flight.warnings:
            parts += [f'## Diagnostics above OK: {flight.name}',
                      table(WARNING_HEAD, warning_rows(flight))]
    parts += ['## Files', '\n'.join(f'- [{f}]({f})' for f in files)]
    return '\n\n'.join(parts) + '\n'


def title(flights: list[Flight]) -> str:
    """Return the title of a report."""
    fleets = fleet_report.fleets(flights)
    bags = {f[0].bag: f'{len(f)} drones of {f[0].bag.stem}' for f in fleets}
    *others, last = dict.fromkeys(bags.get(f.bag, f.name) for f in flights)
    return 'Flight report: ' + (f'{", ".join(others)} and {last}' if others else last)
