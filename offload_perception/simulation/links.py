"""Bandwidth over time: recorded links, and models with a seed."""

from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.simulation.recordings import Recording, read

STEP_S = 0.1
_SLOWEST = 10.0  # byte/s; with a link that stalls for good no simulation would end
_AFTER_S = 60.0  # of a recording after a flight: its last moment may be one without a packet


class LinkTrace:
    """A link whose bandwidth [byte/s] is constant over steps of `STEP_S`, the last one for ever.

    `down` is the downlink, by default as fast as the uplink at each moment.

    :raises PlanError: if a bandwidth is negative or not a number.
    """

    def __init__(self, bandwidth: np.ndarray, round_trip_s: float,
                 down: 'LinkTrace | None' = None) -> None:
        self.bandwidth = np.asarray(bandwidth, float)
        if self.bandwidth.ndim != 1 or not self.bandwidth.size \
                or not np.isfinite(self.bandwidth).all() or not (self.bandwidth >= 0).all():
            raise PlanError('a link trace needs at least one bandwidth, none negative; correct it')
        self.bandwidth = np.maximum(self.bandwidth, _SLOWEST)
        self.round_trip_s, self.down = round_trip_s, down or self
        self._sent = np.concatenate([[0.0], np.cumsum(self.bandwidth * STEP_S)])
        self._carries = self.bandwidth > _SLOWEST
        self._carried_s = np.concatenate([[0.0], np.cumsum(self._carries * STEP_S)])

    def _step(self, time_s: Any) -> Any:
        """Return the step at a time, of arrays too."""
        return np.minimum(np.asarray(time_s / STEP_S, int), len(self.bandwidth) - 1)

    def sent_by(self, time_s: Any) -> Any:
        """Return how many bytes the link can have carried until `time_s`."""
        step = self._step(time_s)
        return self._sent[step] + (time_s - step * STEP_S) * self.bandwidth[step]

    def sending_s(self, start_s: Any, end_s: Any) -> Any:
        """Return for how long a radio sends between two times: not while the link stalls."""
        return self._carried_by(end_s) - self._carried_by(start_s)

    def _carried_by(self, time_s: Any) -> Any:
        step = self._step(time_s)
        return self._carried_s[step] + (time_s - step * STEP_S) * self._carries[step]

    def staying(self, seen_s: float) -> 'LinkTrace':
        """Return a link that stays for ever as this one was at `seen_s`."""
        step = int(self._step(seen_s))
        return LinkTrace(self.bandwidth[step:step + 1], self.round_trip_s)

    def finish_s(self, start_s: Any, nbytes: Any) -> np.ndarray:
        """Return when `nbytes` that start at `start_s` have left, float64 as these [s]."""
        target = self.sent_by(start_s) + np.asarray(nbytes, float)
        step = np.searchsorted(self._sent[1:-1], target)
        left_s: np.ndarray = step * STEP_S + (target - self._sent[step]) / self.bandwidth[step]
        return left_s


def steady(mean: float, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return a constant bandwidth with 3 % noise."""
    return mean * rng.normal(1.0, 0.03, steps)


def collapse(mean: float, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return `mean`, a tenth, a fiftieth, and back up, in equal parts."""
    levels = np.array([1.0, 0.1, 0.02, 0.1, 1.0])[np.arange(steps) * 5 // steps]
    bandwidth: np.ndarray = levels * steady(mean, steps, rng)
    return bandwidth


def wifi(mean: float, steps: int, rng: np.random.Generator, *, good_s: float = 8.0,
         bad_s: float = 2.0, depth: float = 0.08) -> np.ndarray:
    """Return a two-state fading link (Gilbert-Elliott): `depth` of the bandwidth when bad.

    `good_s` and `bad_s` are mean durations of the states.
    """
    leaving = {True: STEP_S / good_s, False: STEP_S / bad_s}
    good, factors = True, np.empty(steps)
    for i, chance in enumerate(rng.random(steps)):
        good = good != (chance < leaving[good])
        factors[i] = 1.0 if good else depth
    return factors * mean * np.exp(rng.normal(0.0, 0.1, steps))


def lte(mean: float, steps: int, rng: np.random.Generator, *, spread: float = 0.6,
        memory_s: float = 10.0) -> np.ndarray:
    """Return a log-normal bandwidth with exponential memory, as cellular uplinks show."""
    keep = np.exp(-STEP_S / memory_s)
    shocks = rng.normal(0.0, spread * np.sqrt(1 - keep * keep), steps)
    log_factor, out = rng.normal(0.0, spread), np.empty(steps)
    for i, shock in enumerate(shocks):
        log_factor = keep * log_factor + shock
        out[i] = log_factor
    return mean * np.exp(out - spread * spread / 2)


MODELS = {'steady': steady, 'collapse': collapse, 'wifi': wifi, 'lte': lte}


def make_link(model: str, *, bandwidth: float, round_trip_s: float, duration_s: float,
              seed: int, scaled: bool = False, flight: int = 0,
              start_s: float = 0.0) -> LinkTrace:
    """Return a link by a model of `MODELS`, or by a file that `recordings.read` knows.

    :param bandwidth: mean of a model, and of a recording that is to be scaled [byte/s].
    :param scaled: whether a recording is; one factor holds for all of it.
    :param flight: which piece of a recording, each as long as the flight; after the last that it
        holds comes the first again.
    :param start_s: where in a recording the first piece begins.
    :raises PlanError: naming the models, or what is wrong with the file.
    """
    steps = max(int(np.ceil(duration_s / STEP_S)), 1)
    if model in MODELS:
        if not 0 < bandwidth < 1e12:
            raise PlanError(f'bandwidth is {bandwidth} byte/s; it has to be positive')
        values = MODELS[model](bandwidth, steps, np.random.default_rng(seed))
        return LinkTrace(np.maximum(values, 0.0), round_trip_s)
    recording = recorded(model)
    start_s += flight % recording.flights(duration_s) * duration_s
    factor = _factor(model, recording, bandwidth) if scaled else 1.0

    def piece(of: Recording) -> np.ndarray:
        return factor * of.bandwidth(start_s, STEP_S, steps + int(_AFTER_S / STEP_S))

    down = downlink_of(model)
    return LinkTrace(piece(recording), round_trip_s,
                     LinkTrace(piece(recorded(down)), round_trip_s) if down else None)


def downlink_of(name: str) -> str:
    """Return the file of the downlink, FILE.down beside FILE.up as Mahimahi has them, else ''."""
    down = Path(name).with_suffix('.down')
    return str(down) if name.endswith('.up') and down.is_file() else ''


def recorded(name: str) -> Recording:
    """Return the recording in a file of that name.

    :raises PlanError: if there is none, naming the models, or what is wrong with it.
    """
    if not Path(name).is_file():
        raise PlanError(f"no link model or trace file '{name}'; use {', '.join(MODELS)}, a CSV "
                        'file of seconds,bytes_per_second or a Mahimahi trace')
    return read(Path(name))


def described(model: str, bandwidth: float, scaled: bool) -> str:
    """Return what link that is, for people; of a recording how it is scaled too."""
    if model in MODELS:
        return f'{model}, modelled'
    recording = recorded(model)
    text = (f'{Path(model).name}, recorded over {recording.length_s:.0f} s, mean '
            f'{recording.mean / 1e3:.1f} kB/s')
    if down := downlink_of(model):
        text += f', beats on {Path(down).name}'
    if not scaled:
        return text
    factor = _factor(model, recording, bandwidth)
    return f'{text}, scaled by {factor:.3g} to {bandwidth / 1e3:.1f} kB/s'


def _factor(name: str, recording: Recording, bandwidth: float) -> float:
    if not recording.mean:
        raise PlanError(f'{name}: the link carries nothing at all; it cannot be scaled')
    return bandwidth / recording.mean
