"""Device profiles: what every prefix of a network costs on one computer.

A profile is a JSON file that `characterize` writes and the planner reads. All figures are means
of warm runs of one image. Unknown figures are null in the file and NaN here.
"""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception import incoming
from offload_perception.errors import IncomingError, PlanError
from offload_perception.network.shape import NetworkShape
from offload_perception.sealed import check_seal, sealed

SCHEMA = 1
ABOVE_IDLE, WHOLE_RUN, UNKNOWN = 'above idle', 'whole run', 'unknown'
IDLE_TOLERANCE = 0.1  # of a meter, and of an idle power that drifts
DEFAULT_SPREAD = 0.05  # of a time or an energy whose spread was not measured
_BUNDLED = files('offload_perception.profiles')
_TEXTS = ('name', 'model', 'digest', 'device', 'runtime', 'origin', 'source')
_AGAIN = 'measure the device again with characterize, or correct the file'


@dataclass(frozen=True)
class Radio:
    """What sending costs above idle: power while the link is busy, each byte, and a tail.

    After it has sent, the radio stays on for `tail_s` and draws `tail_w`.
    """

    sending_w: float
    j_per_byte: float = 0.0
    source: str = ''
    tail_w: float = 0.0
    tail_s: float = 0.0

    def energy_j(self, sending_s: Any, nbytes: Any) -> Any:
        """Return the energy of sending bytes for some time, without the tail [J]."""
        return self.sending_w * sending_s + self.j_per_byte * nbytes

    def tail_j(self, gap_s: Any) -> Any:
        """Return the energy of the tail if something is sent again after `gap_s` [J]."""
        return self.tail_w * np.clip(gap_s, 0.0, self.tail_s)


# Uplink powers of phones above idle: base, per Mbit/s, tail. J. Huang et al., "A close examination
# of performance and power characteristics of 4G LTE networks", MobiSys 2012, tables 3 and 4.
_HUANG = 'Huang et al., MobiSys 2012 (phones)'
RADIOS = {
    'wifi': Radio(0.133, 0.283 * 8e-6, _HUANG, 0.119, 0.238),
    'lte': Radio(1.288, 0.438 * 8e-6, _HUANG, 1.060, 11.6),
    'none': Radio(0.0, 0.0, 'costs nothing')}


@dataclass(frozen=True)
class CutCost:
    """The head that ends at a cut: everything from the image to the tensor there.

    Spreads are standard deviations of single runs. `energy_j` is in the profile's
    `energy_baseline`. A head that does not fit into the memory has `fits` False and no time.
    """

    name: str
    head_s: float
    head_spread_s: float = nan
    energy_j: float = nan
    energy_spread_j: float = nan
    on_chip_bytes: float = nan
    off_chip_bytes: float = nan
    fits: bool = True


@dataclass(frozen=True)
class DeviceProfile:
    """Time and energy of every cut 0..N of one network on one device.

    `energy_baseline` says what `energy_j` of the cuts counts: `above idle`, the `whole run`
    with its idle share, or `unknown`, which is used as it is. `active_w` is drawn above
    idle while the head runs; it is used for energies that were not metered. `measured` is False
    for figures that were derived, `emulated` True if the device or its meter was emulated.
    """

    name: str
    model: str
    digest: str
    device: str
    runtime: str
    origin: str
    source: str
    measured: bool
    emulated: bool
    idle_w: float
    active_w: float
    radio: Radio
    cuts: tuple[CutCost, ...]
    energy_baseline: str = ABOVE_IDLE
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def last(self) -> int:
        """Return N, the cut at which everything runs on board."""
        return len(self.cuts) - 1

    @property
    def fits(self) -> np.ndarray:
        """Return which heads fit into the device, bool (N + 1,)."""
        return np.array([cut.fits for cut in self.cuts])

    @property
    def head_s(self) -> np.ndarray:
        """Return the time of each head, float64 (N + 1,) [s]; infinite if it does not fit."""
        return np.array([cut.head_s if cut.fits else inf for cut in self.cuts])

    @property
    def head_spread_s(self) -> np.ndarray:
        """Return the standard deviation of each head's time, float64 (N + 1,) [s]."""
        return _known([cut.head_spread_s for cut in self.cuts], DEFAULT_SPREAD * self.head_s)

    @property
    def head_j(self) -> np.ndarray:
        """Return the energy of each head above idle, float64 (N + 1,) [J].

        If none was metered it is `active_w` times the head's time.
        """
        metered = np.array([cut.energy_j for cut in self.cuts])
        if self.energy_baseline == WHOLE_RUN:
            metered = np.maximum(metered - self.idle_w * self.head_s, 0.0)
        derived = np.multiply(self.active_w, self.head_s)
        return np.where(self.fits, _known(metered, derived), inf)

    @property
    def head_spread_j(self) -> np.ndarray:
        """Return the standard deviation of each head's energy, float64 (N + 1,) [J]."""
        return _known([cut.energy_spread_j for cut in self.cuts], DEFAULT_SPREAD * self.head_j)

    def check_for(self, shape: NetworkShape) -> 'DeviceProfile':
        """Return this profile.

        :raises PlanError: if it was taken with another network than `shape`.
        """
        remedy = f'run characterize with {shape.name}, or make an estimate of it with scaled()'
        names = tuple(cut.name for cut in self.cuts)
        if names != shape.names:
            raise PlanError(f'profile {self.name} is of {self.model} with {self.last} layers, '
                            f'not of {shape.name} with {shape.last}; {remedy}')
        if self.digest and shape.digest and self.digest != shape.digest:
            raise PlanError(f'profile {self.name} has digest {self.digest[:12]}, the model '
                            f'{shape.name} {shape.digest[:12]}; {remedy}')
        return self

    def with_radio(self, name: str) -> 'DeviceProfile':
        """Return this profile with a radio of `RADIOS`; as it is if the name is empty."""
        return replace(self, radio=RADIOS[name]) if name else self

    def to_json(self) -> str:
        """Return the profile as JSON."""
        record = {'schema': SCHEMA, **asdict(self)}
        return json.dumps(sealed(_nulls(record)), indent=1, allow_nan=False) + '\n'

    def save(self, path: str | Path) -> None:
        """Write the profile into a file."""
        Path(path).write_text(self.to_json())

    @classmethod
    def from_json(cls, text: str, where: str = 'profile') -> 'DeviceProfile':
        """Return the profile that `to_json` wrote.

        :raises PlanError: naming `where`, the field and the remedy.
        """
        try:
            record = json.loads(text)
            if record['schema'] != SCHEMA:
                raise PlanError(f'{where}: schema {record["schema"]}, this version reads '
                                f'{SCHEMA}; {_AGAIN}')
            check_seal(record)
            return _built(record)
        except (PlanError, IncomingError) as e:
            raise PlanError(f'{where}: {e}') from e
        except KeyError as e:
            raise PlanError(f'{where}: field {e} is missing; {_AGAIN}') from e
        except (ValueError, TypeError, AttributeError, RecursionError) as e:
            raise PlanError(f'{where}: no device profile ({e}); {_AGAIN}') from e


def names() -> tuple[str, ...]:
    """Return the names of the profiles that come with this package."""
    return tuple(sorted(entry.name.removesuffix('.json') for entry in _BUNDLED.iterdir()
                        if entry.name.endswith('.json')))


def load(name_or_path: str | Path) -> DeviceProfile:
    """Return the bundled profile of that name, or the one in that file.

    :raises PlanError: if there is none, or what is there is no valid profile.
    """
    text = str(name_or_path)
    source = _BUNDLED / f'{text}.json' if text in names() else Path(text)
    try:
        record = source.read_text()
    except (OSError, ValueError) as e:  # also of a name that no file can have, or another encoding
        raise PlanError(f"no device profile '{incoming.text(text)}' ({type(e).__name__}): use "
                        f'{", ".join(names())}, or the path of a file that characterize '
                        'wrote') from e
    return DeviceProfile.from_json(record, text)


def _known(values: Any, otherwise: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    return np.where(np.isnan(values), otherwise, values)


def _nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nulls(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nulls(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _built(record: dict[str, Any]) -> DeviceProfile:
    plain = {f.name: record[f.name] for f in fields(DeviceProfile)
             if f.name not in ('radio', 'cuts')}
    return DeviceProfile(**_numbers(plain), radio=Radio(**record['radio']),
                         cuts=tuple(CutCost(**_numbers(cut)) for cut in record['cuts']))


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    return {key: nan if value is None else value for key, value in record.items()}


def _check(profile: DeviceProfile) -> None:
    """Refuse impossible values: the limits are far above any drone's computer."""
    for kind, word, values in (
            (str, 'text', {f: getattr(profile, f) for f in _TEXTS}),
            (str, 'text', {f'cuts[{i}].name': cut.name for i, cut in enumerate(profile.cuts)}),
            (str, 'text', {'radio.source': profile.radio.source}),
            (bool, 'true or false', {'measured': profile.measured, 'emulated': profile.emulated})):
        for name, value in values.items():
            if not isinstance(value, kind):
                raise PlanError(f'field {name} is not {word}; {_AGAIN}')
    if profile.energy_baseline not in (ABOVE_IDLE, WHOLE_RUN, UNKNOWN):
        raise PlanError(f"energy_baseline '{profile.energy_baseline}'; use '{ABOVE_IDLE}', "
                        f"'{WHOLE_RUN}' or '{UNKNOWN}'")
    _within('idle_w', profile.idle_w, 1000.0)
    _within('active_w', profile.active_w, 1000.0)
    _within('radio.sending_w', profile.radio.sending_w, 1000.0)
    _within('radio.j_per_byte', profile.radio.j_per_byte, 1.0)
    _within('radio.tail_w', profile.radio.tail_w, 1000.0)
    _within('radio.tail_s', profile.radio.tail_s, 3600.0)
    if len(profile.cuts) < 2:
        raise PlanError(f'{len(profile.cuts)} cuts; at least the image and the cut after one '
                        f'layer are needed; {_AGAIN}')
    for index, cut in enumerate(profile.cuts):
        _check_cut(index, cut)
        _check_power(index, cut, profile)


def _check_cut(index: int, cut: CutCost) -> None:
    where = f'cuts[{index}] ({cut.name}): '
    if not isinstance(cut.fits, bool) or (index == 0 and (not cut.fits or cut.head_s != 0)):
        raise PlanError(f'{where}fits has to be true or false, and cut 0, the image, fits and '
                        f'takes no time; {_AGAIN}')
    if cut.fits or cut.head_s == cut.head_s:
        _within(f'{where}head_s', cut.head_s, 3600.0)
    for f, most in (('head_spread_s', 3600.0), ('energy_j', 1e5), ('energy_spread_j', 1e5),
                    ('on_chip_bytes', 1e12), ('off_chip_bytes', 1e12)):
        if (value := getattr(cut, f)) == value:
            _within(f'{where}{f}', value, most)


def _check_power(index: int, cut: CutCost, profile: DeviceProfile) -> None:
    """Refuse energies of whole runs below the idle energy of the device."""
    idle_j = profile.idle_w * cut.head_s if cut.fits else 0.0
    if profile.energy_baseline == WHOLE_RUN and cut.energy_j < (1 - IDLE_TOLERANCE) * idle_j:
        raise PlanError(
            f'cuts[{index}] ({cut.name}): {cut.energy_j:g} J in {cut.head_s:g} s are '
            f'{cut.energy_j / cut.head_s:.2f} W, less than the {profile.idle_w:g} W of the idle '
            f"device; a whole run holds its idle share ('{ABOVE_IDLE}' is without), and a mean "
            f'divides by the runs that were summed; {_AGAIN}')


def _within(name: str, value: Any, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise PlanError(f'{name} is {incoming.text(str(value), 40)}, it has to lie in 0 .. '
                        f'{most:g}; {_AGAIN}')
