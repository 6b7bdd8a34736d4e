"""Write a report into a folder: page, pictures, summary, tables."""

import json
from pathlib import Path

from offload_perception.errors import ConfigError
from offload_perception.report import plotting, text
from offload_perception.report.charts import CHARTS
from offload_perception.report.geojson import feature_collection
from offload_perception.report.page import page
from offload_perception.report.recorded_flight import Flight
from offload_perception.report.topic_table import Table


def write_report(flights: list[Flight], out: Path) -> list[Path]:
    """Write the report of one flight, or of several side by side, into `out`; return its files.

    :raises ConfigError: if `out` cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(f'cannot make the folder {out}: {e.strerror}') from e
    disambiguate_names(flights)
    pictures = _draw(flights, out)
    tables = [file for n, flight in enumerate(flights) for name, t in flight.tables.items()
              if len(t) for file in t.write(out / f'{name}{_suffix(n, flights)}')]
    maps = [_map(flight.geotags, out / f'geotags{_suffix(n, flights)}.geojson')
            for n, flight in enumerate(flights) if len(flight.geotags)]
    files = [out / 'index.html', out / 'summary.md', *pictures.values(), *tables, *maps]
    files[0].write_text(page(flights, pictures))
    files[1].write_text(text.markdown(
        flights, [f.name for f in files if f.name != 'summary.md']))
    return files


def disambiguate_names(flights: list[Flight]) -> None:
    """Number the flights, as their files are, if some have the same name."""
    if len({f.name for f in flights}) < len(flights):
        for n, flight in enumerate(flights, 1):
            flight.name = f'{flight.name} ({n})'


def _draw(flights: list[Flight], out: Path) -> dict[tuple[str, int], Path]:
    pictures: dict[tuple[str, int], Path] = {}
    for chart in CHARTS:
        figures = {n: f for n, flight in enumerate(flights) if (f := chart.draw(flight))}
        plotting.share_limits(list(figures.values()))
        for n, figure in figures.items():
            pictures[chart.name, n] = out / f'{chart.name}{_suffix(n, flights)}.png'
            figure.savefig(pictures[chart.name, n])
    return pictures


def _map(geotags: Table, file: Path) -> Path:
    file.write_text(json.dumps(feature_collection(geotags), allow_nan=False))
    return file


def _suffix(n: int, flights: list[Flight]) -> str:
    return '' if len(flights) == 1 else f'_{n + 1}'
