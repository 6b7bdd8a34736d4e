"""Reads an emulated UM25C with random faults for minutes, and checks that nothing is lost.

Passes (exit code 0) when every poll ended as a sample or as a counted error, every published
sample was plausible and of the emulated device, memory stayed flat and the reader took under 1 %
of a core. Every power figure in it is emulated.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

import psutil
from goals import Goal, at_most, publish

from offload_perception.power.drivers.meter import DEFAULT_RATE_HZ, open_um_meter
from offload_perception.power.drivers.meter_reader import MeterReader
from offload_perception.power.drivers.plausibility import implausible
from offload_perception.power.drivers.samples import GAP_S, Event, Sample
from offload_perception.power.emulation.device_model import preset
from offload_perception.power.emulation.emulator_process import EmulatorProcess, spawn_emulator
from offload_perception.power.energy.counter import EnergyCounter

DEVICE = 'raspberry_pi_3b_plus'
STAGES = (('head', 2.4), ('encode', 0.9), ('wait', 0.1), ('', None))
STAGE_S = 2.0
MEMORY_EVERY_S = 10.0
WARM_UP_S = 30.0
MAX_GROWTH_KIB = 256
MAX_CPU_SHARE = 0.01


class Published:
    """Takes what the reader hands over, as a node would; keeps sums only."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.wrong: list[dict[str, Any]] = []
        self.energy = EnergyCounter(GAP_S)
        self._device = preset(DEVICE)

    def on_sample(self, sample: Sample) -> None:
        """Count, integrate and judge a sample."""
        self.samples['repeated' if sample.repeated else 'new'] += 1
        r = sample.reading
        assert r is not None  # of a UM meter
        self.energy.add(sample.t_s, r.voltage_v, r.current_a)
        possible = 0.95 * self._device.idle_w <= r.power_w <= 1.05 * self._device.full_load_w
        if implausible(r) or not possible:
            self.wrong.append(asdict(r))

    def on_event(self, event: Event) -> None:
        """Count an event."""
        self.events[event.kind] += 1


def soak(emulator: EmulatorProcess, seconds: float, rate_hz: float) -> dict[str, Any]:
    """Run one session; return its figures."""
    published, process = Published(), psutil.Process()
    reader = MeterReader(
        lambda: open_um_meter(emulator.port), published.on_sample, published.on_event, rate_hz)
    start_s, memory_kib = time.monotonic(), []
    energy_before_j = emulator.stats()['energy_j']
    reader.start()
    cpu_before_s, next_memory_s = _cpu_s(process), start_s + min(WARM_UP_S, seconds / 4)
    while (now_s := time.monotonic()) < start_s + seconds:
        emulator.set_stage(*STAGES[int((now_s - start_s) / STAGE_S) % len(STAGES)])
        if now_s >= next_memory_s:
            memory_kib.append(process.memory_info().rss // 1024)
            next_memory_s += MEMORY_EVERY_S
        time.sleep(STAGE_S / 2)
    cpu_s, true_j = _cpu_s(process) - cpu_before_s, emulator.stats()['energy_j'] - energy_before_j
    stop_s = time.monotonic()
    stopped = reader.stop()
    stop_s, counters = time.monotonic() - stop_s, reader.counters
    return {
        'seconds': seconds, 'rate_hz': rate_hz, 'emulated': True, 'machine': platform.machine(),
        'counters': asdict(counters), 'accounted': counters.accounted,
        'published': dict(published.samples), 'events': dict(published.events),
        'wrong': published.wrong, 'emulator': emulator.stats(), 'stop_s': stop_s,
        'stopped': stopped, 'memory_kib': memory_kib,
        'cpu_share': cpu_s / seconds, 'true_energy_j': true_j,
        'sampled_energy_j': published.energy.energy_j, 'unsampled_s': published.energy.gap_s,
    }


def goals(figures: dict[str, Any]) -> list[Goal]:
    """Return what has to hold: nothing uncounted or wrong, no growth, little work, a quick end."""
    counters, memory_kib = figures['counters'], figures['memory_kib']
    later_kib = memory_kib[len(memory_kib) // 2:]  # Python's allocator fills up to here
    published = sum(figures['published'].values())
    return [
        at_most('polls not accounted for', abs(counters['polls'] - figures['accounted']), 0.0),
        at_most('samples published and not counted, or the reverse',
                abs(published - counters['samples'] - counters['repeats']), 0.0),
        at_most('wrong samples published', len(figures['wrong']), 0.0),
        at_most('growth of the memory in the second half', max(later_kib) - later_kib[0],
                MAX_GROWTH_KIB, 'KiB'),
        at_most('share of a core', 100 * figures['cpu_share'], 100 * MAX_CPU_SHARE, '%'),
        at_most('time to stop', figures['stop_s'] if figures['stopped'] else inf, 0.3, 's'),
    ]


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    with spawn_emulator(
            device=DEVICE, fault_probability=options.fault_probability, seed=options.seed,
    ) as emulator:
        figures = soak(emulator, 60 * options.minutes, options.rate_hz)
    found = goals(figures)
    print(json.dumps(figures, indent=2))
    publish(options.json, figures, found)
    return 0 if all(goal['met'] for goal in found) else 1


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=10.0)
    parser.add_argument('--rate-hz', type=float, default=DEFAULT_RATE_HZ)
    parser.add_argument('--fault-probability', type=float, default=0.15)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path, metavar='FILE')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
