"""Whether energies of frames and their 95 % intervals hold, by simulation with known truth.

A simulated drone of known watts flies with background load that is correlated over 10 s, with
replies that never come, and with frames that overlap. A simulated meter watches it: a UM25C, whose
values are means over half a second, read with a jitter of 0.1 s; a Monsoon with 5000 samples a
second; or a sensor of hwmon, which is read 50 times a second and converts as often. What the
package makes of it is held against the truth. Nothing here was measured.

    python3 benchmarks/energy_coverage.py --json energy_coverage.json

The truth of method `regression` is what such a frame draws on average, background included; that
of method `trapezoid` is what was drawn in its window. Of power above idle a frame has the share
that docs/power_meter.md states.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from math import inf, isfinite, nan
from typing import Any

import numpy as np
from goals import Goal, at_least, at_most, publish

from offload_perception.console import progress, table
from offload_perception.frames import Outcome
from offload_perception.power.drivers.block_clock import BlockClock
from offload_perception.power.drivers.samples import Sample, merged
from offload_perception.power.energy.attribution import (
    LONGEST_FRAME_S,
    IntegralAttribution,
    RegressionAttribution,
)
from offload_perception.power.energy.frame_energy import FrameEnergy
from offload_perception.power.energy.frame_time import timed_frame
from offload_perception.power.energy.stage_time import Span

IDLE_W = 1.9
EXTRA_W = {'preprocess': 0.9, 'head': 2.4, 'encode': 1.3, 'link': 0.15, 'tail': 2.1}
RUNS_S = {'preprocess': (0.005, 0.02), 'head': (0.02, 0.25), 'encode': (0.005, 0.05),
          'link': (0.01, 0.1), 'tail': (0.05, 0.3)}
QUEUE_S = (0.0, 0.02)
HEDGE_AFTER_S, REPLY_TIMEOUT_S = 0.15, 0.5
REPORTED_S = 0.001  # after its end
BACKGROUND_W, CORRELATION_S = 0.3, 10.0
BACKGROUNDS = ('none', 'drifting', 'on and off')
TIMEOUTS = (0.0, 0.1, 0.3)
METERS = ('slow', 'fast', 'polled')
SECONDS, JUDGED_S = 300.0, 30.0  # of a flight, of whose end the frames are held against the truth

# The meters.
PERIOD_S, PERIOD_ERROR, REFRESH_JITTER_S = 0.5, 0.01, 0.005
POLL_HZ, POLL_JITTER_S, SLOW_NOISE_W = 3.0, 0.1, 0.005
SAMPLE_S, BLOCK, STAMP_JITTER_S, FAST_NOISE_W = 0.0002, 500, 0.001, 0.02
READ_S, READ_JITTER_S, HELD_UP, HELD_UP_S = 0.02, 0.0005, 0.02, 0.02  # a share is held up
READS = 5  # that are merged


@dataclass(frozen=True)
class Scene:
    """What a flight is like; `timeouts` is the share of frames whose reply never comes."""

    meter: str
    background: str
    timeouts: float
    overlap: bool


@dataclass
class Latency:
    """The fields of a FrameLatency that its energy depends on."""

    sequence: int
    end: float
    total: float
    outcome: Outcome
    bytes: int = 1000
    queue: float = nan
    preprocess: float = nan
    head: float = nan
    encode: float = nan
    link: float = nan
    server_wait: float = nan
    decode: float = nan
    tail: float = nan


@dataclass
class Flown:
    """A frame as it really was: its message, and when its stages drew power."""

    latency: Latency
    spans: list[Span]

    @property
    def start_s(self) -> float:
        """When it arrived."""
        return self.latency.end - self.latency.total


@dataclass
class Flight:
    """A flight: its frames in the order of their ends, and the background load."""

    frames: list[Flown]
    background_s: np.ndarray
    background_j: np.ndarray
    mean_w: float

    @cached_property
    def _ran(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Of each stage: moments, and the seconds before each in which any frame was in it."""
        return {stage: _union(sorted((s.start_s, s.end_s) for f in self.frames for s in f.spans
                                     if s.stage == stage)) for stage in EXTRA_W}

    def drawn_j(self, moments_s: np.ndarray) -> np.ndarray:
        """Return the energy drawn before each moment, float64 of the same shape."""
        joules: np.ndarray = np.interp(moments_s, self.background_s, self.background_j)
        joules = joules + IDLE_W * moments_s
        for stage, watts in EXTRA_W.items():
            joules = joules + watts * np.interp(moments_s, *self._ran[stage])
        return joules

    def truth_j(self, frame: Flown, *, drawn: bool) -> float:
        """Return the energy of a frame; `drawn`: in its window, else what such a frame costs."""
        start_s, end_s = frame.start_s, frame.latency.end
        near = [f for f in self.frames if f.start_s < end_s and f.latency.end > start_s]
        edges = np.unique(np.clip([start_s, end_s, *(
            t for f in near for t in (f.start_s, f.latency.end)), *(
            t for f in near for s in f.spans for t in (s.start_s, s.end_s))], start_s, end_s))
        joules = self.mean_w * (end_s - start_s)
        for low_s, high_s in pairwise(edges):
            at_s = (low_s + high_s) / 2
            running = [[s.stage for s in f.spans if s.start_s <= at_s < s.end_s] for f in near]
            everyone = [stage for stages in running for stage in stages]
            own_w = sum(EXTRA_W[stage] / everyone.count(stage)
                        for stage in running[near.index(frame)])
            all_w = sum(EXTRA_W[stage] for stage in set(everyone))
            if not drawn:
                joules += own_w * (high_s - low_s)
                continue
            open_now = sum(f.start_s <= at_s < f.latency.end for f in near)
            share = own_w / all_w if all_w else 1 / open_now
            drawn_j = np.diff(self.drawn_j(np.array([low_s, high_s])))[0]
            joules += share * (drawn_j - self.mean_w * (high_s - low_s))
        return float(joules)


def _union(spans: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    merged = [[0.0, 0.0]]
    for start_s, end_s in spans:
        if start_s <= merged[-1][1]:
            merged[-1][1] = max(end_s, merged[-1][1])
        else:
            merged.append([start_s, end_s])
    knees_s = np.array(merged).ravel()
    grown_s = np.diff(knees_s, prepend=0.0)
    grown_s[::2] = 0.0
    return knees_s, np.cumsum(grown_s)


# -- the drone ------------------------------------------------------------------------------


def fly(scene: Scene, seconds: float, rng: np.random.Generator) -> Flight:
    """Return a flight whose cut changes; the next frame waits for the last one, or overlaps it."""
    frames: list[Flown] = []
    ready_s, split = 0.0, 1.0
    while ready_s < seconds:
        split = rng.choice([0.1, 0.5, 1.0]) if rng.random() < 0.05 else split
        arrival_s = ready_s + rng.choice([0.0, 0.0, 0.03, 0.2]) + 3.0 * (rng.random() < 0.01)
        frame, free_s = _frame(len(frames) + 1, arrival_s, split, scene, rng)
        frames.append(frame)
        ready_s = free_s if scene.overlap else frame.latency.end
    grid_s = np.arange(0.0, seconds + 5.0, 0.05)
    background_w, mean_w = _background(scene.background, grid_s, rng)
    joules = np.concatenate([[0.0], np.cumsum(np.diff(grid_s) * background_w[:-1])])
    frames.sort(key=lambda f: f.latency.end)
    return Flight(frames, grid_s, joules, IDLE_W + mean_w)


def _frame(sequence: int, arrival_s: float, split: float, scene: Scene,
           rng: np.random.Generator) -> tuple[Flown, float]:
    """Return a frame, and when the next one may be taken while this one is away."""
    runs = {stage: float(rng.uniform(*limits)) for stage, limits in RUNS_S.items()}
    runs['head'] *= split
    queue_s = float(rng.uniform(*QUEUE_S))
    spans, at_s = [], arrival_s + queue_s
    for stage in ('preprocess', 'head', 'encode'):
        spans.append(Span(stage, at_s, at_s + runs[stage]))
        at_s += runs[stage]
    m = Latency(sequence, nan, nan, Outcome.REMOTE, queue=queue_s, preprocess=runs['preprocess'],
                head=runs['head'], encode=runs['encode'])
    free_s = spans[1].end_s  # the sender has a thread of its own
    lost, hedged = rng.random() < scene.timeouts, rng.random() < 0.5
    away_s = runs['link']
    if lost:
        away_s = HEDGE_AFTER_S if hedged else REPLY_TIMEOUT_S
    spans.append(Span('link', at_s, at_s + away_s))
    at_s += away_s
    if lost and hedged:
        spans.append(Span('tail', at_s, at_s + runs['tail']))
        at_s += runs['tail']
        m.outcome, m.tail, free_s = Outcome.LOCAL, runs['tail'], at_s
    elif lost:
        m.outcome = Outcome.DROPPED
    else:
        m.link, m.server_wait, m.decode, m.tail = (
            away_s * part for part in (0.5, 0.1, 0.1, 0.3))
    m.end, m.total = at_s, at_s - arrival_s
    return Flown(m, spans), free_s


def _background(kind: str, grid_s: np.ndarray, rng: np.random.Generator,
                ) -> tuple[np.ndarray, float]:
    """Return the power of other programs at each moment, and its mean in the long run [W]."""
    if kind == 'none':
        return np.zeros_like(grid_s), 0.0
    step = float(np.diff(grid_s[:2])[0]) / CORRELATION_S
    watts = np.empty_like(grid_s)
    if kind == 'on and off':  # a telegraph process of the same correlation time and spread
        turns = rng.random(len(grid_s)) < step / 2
        on = (np.cumsum(turns) + rng.integers(2)) % 2
        return 2 * BACKGROUND_W * on, BACKGROUND_W
    keep = np.exp(-step)
    watts[0] = rng.normal()
    kicks = rng.normal(0.0, np.sqrt(1 - keep ** 2), len(grid_s))
    for i in range(1, len(grid_s)):
        watts[i] = keep * watts[i - 1] + kicks[i]
    return BACKGROUND_W * (2.0 + watts), 2 * BACKGROUND_W


# -- the meters -----------------------------------------------------------------------------


def watch_slowly(flight: Flight, seconds: float, rng: np.random.Generator,
                 ) -> Iterator[tuple[float, tuple[float, float]]]:
    """Yield when each poll of a UM25C arrives, and what it says: its stamp and power."""
    period_s = PERIOD_S * (1 + rng.uniform(-PERIOD_ERROR, PERIOD_ERROR))
    ends_s = np.arange(0.7, seconds + 1.0, period_s)
    ends_s = ends_s + rng.normal(0.0, REFRESH_JITTER_S, len(ends_s))
    watts = (flight.drawn_j(ends_s) - flight.drawn_j(ends_s - PERIOD_S)) / PERIOD_S
    watts = np.round(watts + rng.normal(0.0, SLOW_NOISE_W, len(watts)), 3)
    for at_s in np.arange(1.5, seconds, 1 / POLL_HZ):
        shown = float(watts[np.searchsorted(ends_s, at_s, 'right') - 1])
        yield float(at_s), (float(at_s + rng.uniform(-POLL_JITTER_S, POLL_JITTER_S)), shown)


def watch_fast(flight: Flight, seconds: float, rng: np.random.Generator,
               ) -> Iterator[tuple[float, tuple[np.ndarray, np.ndarray, float]]]:
    """Yield when each block of a Monsoon's samples arrives, and what its driver makes of it."""
    clock = BlockClock()
    times_s = np.arange(0.0, seconds, SAMPLE_S)
    watts = (flight.drawn_j(times_s + 1e-6) - flight.drawn_j(times_s - 1e-6)) / 2e-6
    watts = watts + rng.normal(0.0, FAST_NOISE_W, len(watts))
    for at in range(0, len(times_s) - BLOCK + 1, BLOCK):
        late_s = rng.exponential(STAMP_JITTER_S)
        block_s = times_s[at:at + BLOCK]
        taken_s = clock.taken_s(block_s + late_s)
        yield float(block_s[-1] + late_s), (taken_s, watts[at:at + BLOCK], clock.error_s)


def watch_polled(flight: Flight, seconds: float, rng: np.random.Generator,
                 ) -> Iterator[tuple[float, tuple[np.ndarray, np.ndarray, float]]]:
    """Yield when each block of reads of a sensor is complete, as the reader merges them."""
    times_s = np.arange(READ_S, seconds, READ_S)
    late_s = rng.exponential(READ_JITTER_S, len(times_s))
    late_s += rng.exponential(HELD_UP_S, len(times_s)) * (rng.random(len(times_s)) < HELD_UP)
    times_s = times_s + late_s
    times_s = times_s[times_s > np.maximum.accumulate(np.append(-1.0, times_s[:-1]))]
    phase_s = rng.uniform(0.0, READ_S)
    ends_s = np.floor((times_s - phase_s) / READ_S) * READ_S + phase_s  # of the last conversion
    watts = (flight.drawn_j(ends_s) - flight.drawn_j(ends_s - READ_S)) / READ_S
    watts = watts + rng.normal(0.0, FAST_NOISE_W, len(watts))
    samples = [Sample(float(t), nan, nan, float(w)) for t, w in zip(times_s, watts, strict=True)]
    for at in range(0, len(samples) - READS + 1, READS):
        curve = merged(samples[at:at + READS]).curve
        assert curve is not None
        yield float(curve.times_s[-1]), (curve.times_s, curve.powers_w, curve.error_s)


# -- what the package makes of it -----------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """A frame's energy, as found and in truth."""

    found: FrameEnergy
    truth_j: float

    @property
    def held(self) -> bool:
        """Whether the interval holds the truth."""
        return abs(self.found.energy_j - self.truth_j) <= self.found.uncertainty_j


@dataclass(frozen=True)
class Outcomes:
    """Frames of a flight, those that ended without an energy, and the power of the head."""

    judged: list[Judged]
    missing: int
    head_w: float
    head_held: bool


def judge(scene: Scene, seed: int, seconds: float = SECONDS) -> Outcomes:
    """Fly, meter, attribute, and compare the last frames with the truth."""
    rng = np.random.default_rng(seed)
    flight = fly(scene, seconds, rng)
    slow = scene.meter == 'slow'
    watch: Any = {'slow': watch_slowly, 'fast': watch_fast, 'polled': watch_polled}[scene.meter]
    attribute: Any = RegressionAttribution if slow else IntegralAttribution
    attribution = attribute(refit_period_s=seconds - JUDGED_S - LONGEST_FRAME_S)
    events = sorted(
        [(at_s, attribution.add_power, sample) for at_s, sample in watch(flight, seconds, rng)]
        + [(f.latency.end + REPORTED_S, attribution.add_frame, (timed_frame(f.latency),))
           for f in flight.frames], key=lambda event: event[0])
    found: dict[int, FrameEnergy] = {}
    for _, take, told in events:
        for frame, energy in take(*told) or ():  # frames come with power
            found[frame.key.sequence] = energy
    wanted = [f for f in flight.frames if
              seconds - JUDGED_S < f.latency.end < seconds - LONGEST_FRAME_S - 1.0]
    judged = [Judged(found[f.latency.sequence], flight.truth_j(f, drawn=not slow))
              for f in wanted if f.latency.sequence in found]
    fit = attribution.fit
    head = fit.extra_w('head') if fit else None
    return Outcomes(judged, len(wanted) - len(judged), head.value if head else nan,
                    head is not None and abs(head.value - EXTRA_W['head']) <= head.half_width)


def summary(scene: Scene, trials: int, seed: int = 0) -> dict[str, Any]:
    """Return coverage, bias and width over many flights of one scene."""
    flights = [judge(scene, seed + trial) for trial in range(trials)]
    judged = [j for f in flights for j in f.judged]
    finite = [j for j in judged if isfinite(j.found.uncertainty_j)]
    return {
        **vars(scene), 'frames': len(judged), 'missing': sum(f.missing for f in flights),
        'unbounded': len(judged) - len(finite),
        'coverage': float(np.mean([j.held for j in judged])) if judged else nan,
        'bias': float(np.mean([j.found.energy_j / j.truth_j - 1 for j in judged])),
        'half_width': float(np.median([j.found.uncertainty_j / j.truth_j for j in finite]))
        if finite else inf,
        'head_w': float(np.mean([f.head_w for f in flights])),
        'head_coverage': float(np.mean([f.head_held for f in flights]))}


def goals(results: list[dict[str, Any]]) -> list[Goal]:
    """Return the goals: of each meter and background, over all shares of timeouts and overlap."""
    found = []
    for meter, background in dict.fromkeys((r['meter'], r['background']) for r in results):
        rows = [r for r in results if (r['meter'], r['background']) == (meter, background)]
        coverage = 100 * float(np.average([r['coverage'] for r in rows],
                                          weights=[r['frames'] for r in rows]))
        name = f'coverage of 95 % intervals, {meter} meter, background {background}'
        found += [at_least(name, coverage, 90.0, '%'), at_most(name, coverage, 99.0, '%')]
    return found


def main(argv: Any = None) -> int:
    """Run as a program."""
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--trials', type=int, default=20, help='flights of each scene')
    p.add_argument('--seed', type=int, default=0, help='of the first flight of each scene')
    p.add_argument('--meter', choices=METERS, action='append', help='only this one')
    p.add_argument('--json', metavar='FILE')
    args = p.parse_args(argv)
    results = []
    for scene in (Scene(*s) for s in product(args.meter or METERS, BACKGROUNDS, TIMEOUTS,
                                             (False, True))):
        progress(str(scene))
        results.append(summary(scene, args.trials, args.seed))
    print(table(('meter', 'background', 'timeouts', 'overlap', 'coverage', 'bias', 'half width',
                 'head [W]', 'its coverage', 'frames', 'missing'), [
        (r['meter'], r['background'], f'{r["timeouts"]:.0%}', 'yes' if r['overlap'] else 'no',
         f'{r["coverage"]:.1%}', f'{r["bias"]:+.2%}', f'{r["half_width"]:.2%}',
         f'{r["head_w"]:.2f}', f'{r["head_coverage"]:.0%}', r['frames'], r['missing'])
        for r in results]))
    publish(args.json, {'arguments': vars(args), 'results': results}, goals(results))
    return 0


if __name__ == '__main__':
    sys.exit(main())
