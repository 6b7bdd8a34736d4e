"""A server of a fleet is killed under load: what becomes of its frames, and of the deadlines.

The command `fleet` flies drones that know two servers; the second is killed (SIGKILL) in
flight. From the recorded frames: the share that met its deadline before and after, by the time at
which the images arrived; the time from the kill until that share is back for good, to 5
points, in windows of half a second; and whether every frame is accounted for.

    bash scripts/run.sh python benchmarks/server_killed.py emulate:=raspberry_pi_3b_plus
"""

import argparse
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import common
import numpy as np
import psutil
from goals import Goal, at_most, publish

from offload_perception.console import command, progress, table
from offload_perception.errors import OffloadError
from offload_perception.frames import Outcome
from offload_perception.recording import BagReader

WINDOW_S, LOST_POINTS = 0.5, 5.0
SHOWN_S = (-2.0, 6.0)  # around the kill
OUTCOMES = tuple(Outcome)
TOTAL = re.compile(r'all \d+ drones: captured (\d+) = remote (\d+) \+ local (\d+) \+ '
                   r'dropped (\d+)')


def fly(args: argparse.Namespace, folder: Path) -> tuple[float, str]:
    """Fly, kill and land; return when the server was killed [s since the epoch], and the log."""
    words = [f'drones:={args.drones}', 'servers:=2', f'rate:={args.rate}',
             f'deadline:={args.deadline}', 'threads:=1', 'meter:=none', 'dashboard:=false',
             'record:=true', f'bag:={folder / "bag"}', *args.arguments]
    with common.CommandInFlight('fleet', *words, flies=rf'\| {args.drones} drones ',
                                verbose=args.verbose) as fleet:
        progress(f'{args.drones} drones are in flight')
        _wait(fleet.process, args.settle + args.before)
        server = _server(fleet.process.pid)
        killed_s = time.time()
        server.send_signal(signal.SIGKILL)
        progress('killed the second server')
        _wait(fleet.process, args.after)
    return killed_s, fleet.log


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
    raise OffloadError('the fleet has ended by itself: see --verbose')


def _server(pid: int) -> psutil.Process:
    for p in psutil.Process(pid).children(recursive=True):
        if '__ns:=/server2' in p.cmdline() and 'remote_inference' in ' '.join(p.cmdline()):
            return p
    raise OffloadError('the second server does not run: see --verbose')


def frames_of(bag: Path, killed_s: float) -> np.ndarray:
    """Return for each recorded frame when its image came, from the kill on [s], its outcome,
    whether the second server was to finish it, and whether it met its deadline: (frames, 4).
    """
    found = []
    for recorded in BagReader(bag):
        if recorded.topic.endswith('/frame_latency'):
            m = recorded.decode()
            came_s = 1e-9 * recorded.sent_ns - m.total
            found.append((came_s - killed_s, m.outcome, m.server == '/server2', m.deadline_met))
    return np.array(found, float)


def figures(frames: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """Return the shares before and after, by window, and when it was back."""
    at_s, outcome, second, met = frames.T
    before = (at_s >= -args.before) & (at_s < 0.0)
    steady = 100.0 * met[before].mean()
    windows = []
    for start_s in np.arange(SHOWN_S[0], args.after - 1.0, WINDOW_S):
        inside = (at_s >= start_s) & (at_s < start_s + WINDOW_S)
        if inside.any():
            windows.append({
                'start_s': float(start_s), 'frames': int(inside.sum()),
                'met': 100.0 * float(met[inside].mean()),
                **{o.name.lower(): int((outcome[inside] == o).sum()) for o in OUTCOMES}})
    low = [w['start_s'] + WINDOW_S for w in windows
           if w['start_s'] >= 0.0 and w['met'] < steady - LOST_POINTS]
    after = (at_s >= 2.0) & (at_s < args.after - 1.0)
    return {'frames': len(frames), 'met_before': float(steady),
            'met_from_2_s_on': 100.0 * float(met[after].mean()),
            'sent_to_second_before': 100.0 * float(second[before].mean()),
            'remote_before': 100.0 * float((outcome[before] == Outcome.REMOTE).mean()),
            'back_s': max(low, default=0.0), 'windows': windows}


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goals: the deadlines are met again, and every frame is counted."""
    return [at_most('share of deadlines back after', result['back_s'], 2.0, 's'),
            at_most('frames not accounted for', result['unaccounted'], 0.0)]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Fly, print."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('arguments', nargs='*', metavar='NAME:=VALUE', help='of the fleet')
    p.add_argument('--drones', type=int, default=8)
    p.add_argument('--rate', type=float, default=2.0, help='of each camera [Hz]')
    p.add_argument('--deadline', type=float, default=0.5, help='[s]')
    p.add_argument('--settle', type=float, default=20.0, help='after the first frames [s]')
    p.add_argument('--before', type=float, default=20.0, help='in flight before the kill [s]')
    p.add_argument('--after', type=float, default=20.0, help='and after it [s]')
    p.add_argument('--verbose', action='store_true', help='show the output of the fleet')
    p.add_argument('--json', type=Path)
    args = p.parse_args(argv)
    with TemporaryDirectory() as folder:
        killed_s, log = fly(args, Path(folder))
        counts = TOTAL.search(log)
        if counts is None:
            raise OffloadError('the fleet printed no sum of its frames: see --verbose')
        result = figures(frames_of(Path(folder) / 'bag', killed_s), args)
    captured, *ended = map(int, counts.groups())
    result['captured'] = captured
    result['unaccounted'] = abs(captured - sum(ended)) + abs(captured - result['frames'])
    print(table(('from s', 'to s', 'frames', 'remote', 'local', 'dropped', 'met %'), [
        (f'{w["start_s"]:.1f}', f'{w["start_s"] + WINDOW_S:.1f}', w['frames'], w['remote'],
         w['local'], w['dropped'], f'{w["met"]:.0f}')
        for w in result['windows'] if w['start_s'] < SHOWN_S[1]]))
    print(f'\ndeadlines met: {result["met_before"]:.1f} % before the kill, '
          f'{result["met_from_2_s_on"]:.1f} % from 2 s after it on; before it '
          f'{result["remote_before"]:.0f} % of the frames ended at a server, '
          f'{result["sent_to_second_before"]:.0f} % went to the second one\n'
          f'{counts[0]}; {result["frames"]} recorded')
    publish(args.json, {'machine': common.machine(), 'arguments': {**vars(args), 'json': ''},
                        'results': result}, goals(result))
    return 0


if __name__ == '__main__':
    sys.exit(main())
