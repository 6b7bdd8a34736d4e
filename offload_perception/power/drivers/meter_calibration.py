"""Calibration of a power meter with known loads: the fit, its file, and a meter that applies it.

Of each quantity the true values of the loads are fitted by a line of what the meter read, true =
gain * read + offset, by least squares. Loads that hardly differ in a quantity, as in the voltage
of one supply, determine no offset: then the gain alone is fitted.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import IncomingError, MeterError
from offload_perception.incoming import number, text
from offload_perception.power.drivers.power_meter import LinkCounts, PollError, PowerMeter, pace_hz
from offload_perception.power.drivers.samples import REFRESH_S, Sample
from offload_perception.sealed import check_seal, sealed

QUANTITIES = {'voltage': 'V', 'current': 'A', 'power': 'W'}
MIN_GAIN, MAX_GAIN = 0.5, 2.0
MAX_OFFSET, MAX_RESIDUAL = 0.2, 0.05  # of the largest true value
"""What is beyond these is another shunt, unit or load, not a meter a little off."""
SPREAD = 0.1  # of the largest true value: what loads have to differ by to determine an offset
SETTLE_S = 2 * REFRESH_S
"""A reading may be a mean over the refresh before it, and as old again."""
MIN_SAMPLES = 3
MAX_LOADS, MAX_FILE_BYTES = 100, 65536
_MOST = 1e6
_VERSION = 1


@dataclass(frozen=True)
class Load:
    """A known load: its true values and the means that the meter read, by quantity.

    A quantity that is not stated, or not measured, is left out.
    """

    true: Mapping[str, float]
    read: Mapping[str, float]
    samples: int


@dataclass(frozen=True)
class Line:
    """True = gain * read + offset; `residual` is the root mean square of what it leaves."""

    gain: float
    offset: float
    residual: float

    def at(self, value: Any) -> Any:
        """Return the true value, or array of values, for one that was read."""
        return self.gain * value + self.offset


_SAME = Line(1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Calibration:
    """A line for each quantity that was fitted, and where it comes from.

    :ivar meter: the description of the meter that it is of.
    :ivar date: when it was measured, as in 2026-11-29.
    """

    meter: str
    date: str
    loads: tuple[Load, ...]
    lines: Mapping[str, Line]
    name: str = 'calibration'

    def apply(self, sample: Sample) -> Sample:
        """Return the sample with true values."""
        line, curve = {**dict.fromkeys(QUANTITIES, _SAME), **self.lines}, sample.curve
        return replace(
            sample, voltage_v=line['voltage'].at(sample.voltage_v),
            current_a=line['current'].at(sample.current_a),
            power_w=line['power'].at(sample.power_w),
            curve=curve and replace(curve, powers_w=line['power'].at(curve.powers_w)))


# -- the fit ------------------------------------------------------------------------------------


def true_values(stated: str) -> dict[str, float]:
    """Return the true values of a load, stated as `5.1V,0.5A` or `2.55W`.

    :raises MeterError: if they do not say its power.
    """
    units = {unit: quantity for quantity, unit in QUANTITIES.items()}
    found: dict[str, float] = {}
    for part in stated.split(','):
        part = part.strip()
        try:
            quantity = units[part[-1:].upper()]
            found[quantity] = number(quantity, float(part[:-1]), 0.0, _MOST)
        except (KeyError, ValueError, IncomingError) as e:
            raise MeterError(f"load '{text(stated)}': state its volts and amperes, as in "
                             f'5.1V,0.5A, or its watts, as in 2.55W ({e})') from e
    if 'power' not in found:
        if not {'voltage', 'current'} <= found.keys():
            raise MeterError(f"load '{text(stated)}' does not say its power: state volts and "
                             'amperes, as in 5.1V,0.5A, or watts')
        found['power'] = found['voltage'] * found['current']
    return found


def measure(meter: PowerMeter, true: Mapping[str, float], seconds: float, *,
            clock: Callable[[], float] = time.monotonic,
            sleep: Callable[[float], None] = time.sleep) -> Load:
    """Read a load for some seconds, and return it with the means.

    What is read in the first second is left out: it may be of the load before.

    :raises MeterError: if the meter fails, or gives too few samples.
    """
    began_s, period_s = clock(), 1.0 / pace_hz(meter, 0.0)
    samples, problem = [], 'measure for longer'
    while (now_s := clock()) < began_s + SETTLE_S + seconds:
        try:
            sample = meter.read()
        except PollError as e:
            problem = str(e)
        else:
            if now_s >= began_s + SETTLE_S and not sample.repeated:
                samples.append(sample)
        if not meter.waits:
            sleep(max(0.0, now_s + period_s - clock()))
    if len(samples) < MIN_SAMPLES:
        raise MeterError(f'{meter.description} gave {len(samples)} samples in {seconds:g} s: '
                         f'{problem}')
    read = {'voltage': statistics.fmean(s.voltage_v for s in samples),
            'current': statistics.fmean(s.current_a for s in samples),
            'power': statistics.fmean(s.power_w for s in samples)}
    return Load(true, {q: v for q, v in read.items() if math.isfinite(v)}, len(samples))


def fit(meter: str, date: str, loads: Sequence[Load]) -> Calibration:
    """Fit a line for each quantity that was stated and measured for all loads.

    :raises MeterError: if there are fewer than two loads, or a line is not plausible.
    """
    if len(loads) < 2:
        raise MeterError(f'{len(loads)} loads determine no calibration; measure two or more that '
                         'differ, one of them near the largest that will be measured')
    lines = {quantity: _line(quantity, [(x.read[quantity], x.true[quantity]) for x in loads])
             for quantity in QUANTITIES
             if all(quantity in x.read and quantity in x.true for x in loads)}
    if 'power' not in lines:
        raise MeterError(f'{meter} measured no power: it cannot be calibrated')
    return Calibration(meter, date, tuple(loads), lines)


def _line(quantity: str, points: Sequence[tuple[float, float]]) -> Line:
    read, true = np.array(points, float).T
    largest = float(np.max(np.abs(true)))
    if np.ptp(true) >= SPREAD * largest > 0.0:
        design = np.stack([read, np.ones_like(read)], axis=1)
    else:
        design = read[:, None]
    found = np.linalg.lstsq(design, true, rcond=None)[0]
    residual = float(np.sqrt(np.mean((design @ found - true) ** 2)))
    line = Line(float(found[0]), float(found[1]) if len(found) > 1 else 0.0, residual)
    unit = QUANTITIES[quantity]
    if not MIN_GAIN <= line.gain <= MAX_GAIN or abs(line.offset) > MAX_OFFSET * largest:
        raise MeterError(
            f'{quantity}: a gain of {line.gain:.4g} and an offset of {line.offset:.4g} {unit} are '
            'not those of a meter that is a little off: check the loads, their order, and the '
            "resistance of the meter's shunt")
    if residual > MAX_RESIDUAL * largest:
        raise MeterError(
            f'{quantity}: the loads are {residual:.3g} {unit} off a line: was a load set '
            'before it was measured, and steady?')
    return line


# -- its file -----------------------------------------------------------------------------------


def to_json(c: Calibration) -> dict[str, Any]:
    """Return a calibration as plain data."""
    return sealed({
        'version': _VERSION, 'meter': c.meter, 'date': c.date,
        'loads': [{'true': dict(x.true), 'read': dict(x.read), 'samples': x.samples}
                  for x in c.loads],
        'fit': {q: {'gain': x.gain, 'offset': x.offset, 'residual': x.residual}
                for q, x in c.lines.items()}})


def load_calibration(path: str) -> Calibration:
    """Read the file of a calibration; its name and date become the calibration's name.

    :raises MeterError: if it is none, or its values are not plausible.
    """
    file = Path(path).expanduser()
    try:
        with file.open('rb') as f:
            data = f.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise IncomingError(f'it is longer than {MAX_FILE_BYTES} bytes')
        return _calibration(json.loads(data), file.name)
    except OSError as e:
        raise MeterError(f'calibration {text(path)}: {e.strerror}') from e
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, IncomingError) as e:
        raise MeterError(f'{text(path)} is no file of a calibration ({type(e).__name__}: '
                         f'{text(str(e))}); write one with calibrate_meter') from e


def _calibration(data: Any, file: str) -> Calibration:
    if data['version'] != _VERSION:
        raise IncomingError('it is of another version')
    check_seal(data)
    lines = {q: Line(number(f'gain of {q}', x['gain'], MIN_GAIN, MAX_GAIN),
                     number(f'offset of {q}', x['offset'], -_MOST, _MOST),
                     number(f'residual of {q}', x['residual'], 0.0, _MOST))
             for q, x in data['fit'].items() if q in QUANTITIES}
    if 'power' not in lines:
        raise IncomingError('it has no line of power')
    if not isinstance(data['loads'], list) or not 2 <= len(data['loads']) <= MAX_LOADS:
        raise IncomingError(f'it has to have 2 to {MAX_LOADS} loads')
    loads = tuple(Load(_values(x['true']), _values(x['read']),
                       int(number('samples', x['samples'], 1, 1e9))) for x in data['loads'])
    meter, date = str(data['meter']), text(str(data['date']), 40)
    return Calibration(meter, date, loads, lines, f'{text(file)} of {date}')


def _values(data: Mapping[str, Any]) -> dict[str, float]:
    return {q: number(q, data[q], -_MOST, _MOST) for q in QUANTITIES if q in data}


# -- a calibrated meter -------------------------------------------------------------------------


class CalibratedMeter(PowerMeter):
    """A meter whose samples have the true values by a calibration."""

    def __init__(self, meter: PowerMeter, calibration: Calibration) -> None:
        """Take the meter, which is closed with this one.

        :raises MeterError: if the calibration is of another meter.
        """
        if calibration.meter != meter.description:
            raise MeterError(
                f'{calibration.name} is of {text(calibration.meter)}, and this is '
                f'{meter.description}: calibrate this one, or correct "meter" in the file if only '
                'its port has changed')
        self._meter, self._calibration = meter, calibration
        self.description, self.calibration = meter.description, calibration.name
        self.rate_hz, self.max_rate_hz = meter.rate_hz, meter.max_rate_hz
        self.waits, self.prompt, self.attribution = meter.waits, meter.prompt, meter.attribution
        self.remedy, self.no_load = meter.remedy, meter.no_load

    def read(self) -> Sample:
        """Return a sample with the true values."""
        return self._calibration.apply(self._meter.read())

    def take_counts(self) -> LinkCounts:
        """Return what the meter has counted since the last call."""
        return self._meter.take_counts()

    def cancel(self) -> None:
        """End a current `read`."""
        self._meter.cancel()

    def close(self) -> None:
        """Close the meter."""
        self._meter.close()
