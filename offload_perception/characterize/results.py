"""The results of a finished run: CSV, JSON, device profiles, figures and a table."""

import json
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from offload_perception.characterize.compare import PREFIX
from offload_perception.characterize.prefix_charts import draw_run
from offload_perception.characterize.record import Journal, Row, write_csv
from offload_perception.characterize.shares import KINDS, by_kind, percent
from offload_perception.characterize.to_profile import PUBLISHED_RADIO, to_profile
from offload_perception.console import table
from offload_perception.network.artefact import Artefact
from offload_perception.profiles.device_profile import DeviceProfile, Radio

HEAD = ('layers', 'up to', 'backend', 'first ms', 'run ms', '+-', 'J', '+-', 'J above idle', '+-',
        'predicted MiB', 'peak MiB')
SHARES_HEAD = ('backend', 'figure', *KINDS.values())


@dataclass(frozen=True)
class Report:
    """A journal in which no prefix of its backends is missing."""

    artefact: Artefact
    journal: Journal
    settings: dict[str, Any]
    name: str
    radio: Radio = PUBLISHED_RADIO

    @property
    def last(self) -> dict[str, Any]:
        """Return the latest session: host, meter and date."""
        return self.journal.sessions[-1]

    @property
    def backends(self) -> dict[str, list[Row]]:
        """Return the rows of each backend, in the order of the layers."""
        rows = sorted(self.journal.rows, key=lambda row: row.cut)
        return {name: [row for row in rows if row.backend == name]
                for name in dict.fromkeys(row.backend for row in self.journal.rows)}

    @property
    def device(self) -> str:
        """Return the kind of the computer."""
        return device_kind(self.last['host'])

    def profile(self, backend: str) -> DeviceProfile:
        """Return the device profile of a backend."""
        return to_profile(
            self.backends[backend], self.artefact, name=f'{self.name}_{backend}',
            device=self.device, date=self.last['date'], meter=self.last['meter'],
            emulated=self.last['emulated'], radio=self.radio,
            metadata={'settings': self.settings, 'sessions': self.journal.sessions})

    def write(self, folder: Path, *, figures: bool = True) -> list[Path]:
        """Write everything into `folder`; return the files."""
        rows = [row for each in self.backends.values() for row in each]
        write_csv(folder / 'prefixes.csv', rows)
        (folder / 'run.json').write_text(json.dumps({
            'settings': self.settings, 'sessions': self.journal.sessions,
            'rows': [row.to_dict() for row in rows]}, indent=1, allow_nan=False) + '\n')
        files = [folder / 'prefixes.csv', folder / 'run.json']
        for backend in self.backends:
            files.append(folder / f'{PREFIX}{backend}.json')
            self.profile(backend).save(files[-1])
        return files + (draw_run(folder / 'figures', rows, self.note()) if figures else [])

    def note(self) -> str:
        """Return the line that is printed under every figure."""
        weights = self.artefact.weights if self.artefact.trained else \
            f'{self.artefact.weights} (random)'
        return (f'{self.artefact.name}, weights {weights}; {self.device}, '
                f'{self.settings["threads"]} threads; power: {self.last["meter"]}')

    def table(self) -> str:
        """Return all rows as a Markdown table."""
        rows = [row for each in self.backends.values() for row in each]
        return table(HEAD, [_cells(row) for row in rows])

    def shares(self) -> str:
        """Return what each kind of layer takes, as a Markdown table in percent."""
        return table(SHARES_HEAD, [
            (backend, what, *(_text(value, 1) for value in percent(by_kind(rows, name)).values()))
            for backend, rows in self.backends.items()
            for what, name in (('time', 'mean_s'), ('energy above idle', 'active_j'))])


def device_kind(host: dict[str, Any]) -> str:
    """Return the board's name, or cores and kind of the machine."""
    return host['board'] or f'{host["cores"]}-core {host["machine"]} machine'


def _cells(row: Row) -> tuple[Any, ...]:
    mib, fits = 1 << 20, row.fits
    return (row.cut, row.name, row.backend, _text(row.first_s * 1e3, 1),
            _text(row.mean_s * 1e3, 2) if fits else f'does not fit: {row.note}',
            _text(row.spread_s * 1e3, 2), _text(row.energy_j, 3), _text(row.energy_half_j, 3),
            _text(row.active_j, 3), _text(row.active_half_j, 3),
            f'{row.predicted_bytes / mib:.0f}', _text(row.peak_bytes / mib, 0))


def _text(value: float, digits: int) -> str:
    return '' if isnan(value) else f'{value:.{digits}f}'
