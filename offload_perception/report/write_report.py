"""Write a report into a folder: page, pictures, summary, tables."""

import json
from pathlib import Path

from offload_perception.errors import ConfigError
from offload_perception.report import plotting, text
from offload_perception.report.charts import CHARTS
from offload_perception.report.geojson import feature_collection
from offload_perception.report.page import page
from offload_perception.report.recorded_flight import Flight, in_full
from offload_perception.report.topic_table import Table


def write_report(flights: list[Flight], out: Path) -> list[Path]:
    """Write the report of one flight, or of several side by side, into `out`; return its files.

    Of a bag with many drones only some are drawn; tables and counts are of all.

    :raises ConfigError: if `out` cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(f'cannot make the folder {out}: {e.strerror}') from e
    disambiguate_names(flights)
    shown = in_full(flights)
    pictures = _draw(shown, flights, out)
    tables = _write_tables(flights, out)
    maps = [_map(flight.geotags, out / f'geotags{_suffix(n, flights)}.geojson')
            for n, flight in enumerate(flights) if len(flight.geotags)]
    files = [out / 'index.html', out / 'summary.md', *pictures.values(), *tables, *maps]
    files[0].write_text(page(flights, shown, pictures))
    files[1].write_text(text.markdown(
        flights, shown, [f.name for f in files if f.name != 'summary.md']))
    return files


def disambiguate_names(flights: list[Flight]) -> None:
    """Number the flights, as their files are, if some have the same name."""
    if len({f.name for f in flights}) < len(flights):
        for n, flight in enumerate(flights, 1):
            flight.name = f'{flight.name} ({n})'


def _write_tables(flights: list[Flight], out: Path) -> list[Path]:
    """Write each table once: that of the servers is of all drones of a bag."""
    files, written = list[Path](), set[int]()
    for n, flight in enumerate(flights):
        for name, table in flight.tables.items():
            if len(table) and id(table) not in written:
                written.add(id(table))
                files += table.write(out / f'{name}{_suffix(n, flights)}')
    return files


def _draw(shown: list[Flight], flights: list[Flight],
          out: Path) -> dict[tuple[str, int], Path]:
    """Draw the charts of those that are shown; the keys have their places among these."""
    pictures: dict[tuple[str, int], Path] = {}
    numbers = {id(flight): n for n, flight in enumerate(flights)}
    for chart in CHARTS:
        figures = {n: f for n, flight in enumerate(shown) if (f := chart.draw(flight))}
        plotting.share_limits(list(figures.values()))
        for n, figure in figures.items():
            suffix = _suffix(numbers[id(shown[n])], flights)
            pictures[chart.name, n] = out / f'{chart.name}{suffix}.png'
            figure.savefig(pictures[chart.name, n])
    return pictures


def _map(geotags: Table, file: Path) -> Path:
    file.write_text(json.dumps(feature_collection(geotags), allow_nan=False))
    return file


def _suffix(n: int, flights: list[Flight]) -> str:
    return '' if len(flights) == 1 else f'_{n + 1}'
