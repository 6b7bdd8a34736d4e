"""The computer that a node runs on: heat, supply, system clock."""

from collections.abc import Callable, Iterator
from typing import Any

from offload_perception.health.board import Board, BoardState, decode_flags
from offload_perception.health.clocks import ClockWatch, wall_offset_s
from offload_perception.health.finding import Finding, error, warning
from offload_perception.health.trend import Hysteresis

NEAR_C, CALM_C = 5.0, 8.0  # below the limit
_COOLER = 'cool the computer, or let it keep less on board'
_SUPPLY = 'use a stronger supply and a shorter, thicker cable, or fewer USB devices'


class ComputerWatch:
    """Checks the computer; call `findings` about once a second."""

    def __init__(self, board: Board | None = None,
                 offset: Callable[[], float] = wall_offset_s) -> None:
        self._board, self._offset = board or Board(), offset
        self._hot = Hysteresis(on=-NEAR_C, off=-CALM_C)
        self._clock = ClockWatch()
        self._state = BoardState()

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong; `now_s` is monotonic."""
        self._state = state = self._board.read(now_s)
        yield from _supply(state)
        yield from self._heat(state)
        if jump := self._clock.check(self._offset(), now_s):
            yield jump

    def values(self) -> dict[str, Any]:
        """Return what was read last, for the values of a diagnostics message."""
        state, found = self._state, {}
        if state.zone:
            found['temperature [C]'] = f'{state.zone.temperature_c:.1f} ({state.zone.name})'
        if state.clock_hz == state.clock_hz:
            found['CPU clock [MHz]'] = f'{state.clock_hz / 1e6:.0f}'
        if been := decode_flags(state.flags)[1]:
            found['since the start'] = ', '.join(been)
        return found

    def _heat(self, state: BoardState) -> Iterator[Finding]:
        zone = state.zone
        now = [text for text in decode_flags(state.flags)[0] if text != 'under-voltage']
        hot = zone is not None and self._hot.update(zone.temperature_c - zone.limit_c)
        at = f' at {zone.temperature_c:.0f} C ({zone.name})' if zone else ''
        if slowed := [*now, *state.slowed_by]:
            clock = (f', clock {state.clock_hz / 1e9:.2f} of {state.top_clock_hz / 1e9:.2f} GHz'
                     if state.clock_hz < state.top_clock_hz else '')
            yield warning('heat', f'the CPU is throttled{at} by {", ".join(slowed)}{clock}: '
                          f'layers take longer; {_COOLER}')
        elif zone is not None and hot:
            yield warning('heat', f'hot{at}: throttling starts at {zone.limit_c:.0f} C; {_COOLER}')


def _supply(state: BoardState) -> Iterator[Finding]:
    now, been = decode_flags(state.flags)
    if 'under-voltage' in now:
        yield error('supply', f'under-voltage: the Raspberry Pi gets less than 4.63 V; {_SUPPLY}')
    elif 'under-voltage' in been:
        yield warning('supply', 'there was under-voltage since the Raspberry Pi was started; '
                      f'{_SUPPLY}')
