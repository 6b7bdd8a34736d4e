"""Problems of a power meter's link, its readings and the supply that it measures."""

from collections import Counter
from collections.abc import Iterator
from math import nan

from offload_perception.health.finding import Finding, error, note, several, warning
from offload_perception.health.trend import Hysteresis, Recent
from offload_perception.power.drivers.samples import Counters, Event, MeterStatus, Sample, State

LOW_V, CALM_V = 4.63, 4.75
"""A Raspberry Pi warns below 4.63 V (raspberrypi/documentation, power-supplies.adoc); after the
drop of meter and cable it gets less than the meter shows."""
WINDOW_S = 60.0  # the meter answers a few times a second at most
ERRORS = 0.1  # of the polls


def link_findings(status: MeterStatus) -> Iterator[Finding]:
    """Yield what is wrong with the link to a meter."""
    if status.state is State.CONNECTING:
        yield note('meter', status.message)
    elif status.state is not State.MEASURING:
        make = error if status.state is State.LOST else warning
        yield make('meter', f'{status.state.value}: {status.message}')


class ReadingsWatch:
    """Follows the samples of a meter; the reader's thread calls `observe_...`.

    :param remedy: what helps if many reads of this meter fail.
    """

    def __init__(self, remedy: str = '') -> None:
        self._remedy = remedy
        self._recent = Recent(WINDOW_S)
        self._low = Hysteresis(on=LOW_V, off=CALM_V)
        self._voltage_v, self._gap, self._no_load = nan, '', ''
        self._unknown: tuple[str, ...] = ()

    def observe_sample(self, sample: Sample) -> None:
        """Take a sample; the supply that a UM meter measures is one of 5 V."""
        if sample.reading is not None:
            self._voltage_v, self._unknown = sample.voltage_v, sample.reading.unknown
        if sample.current_a > 0.0:
            self._no_load = ''

    def observe_event(self, event: Event) -> None:
        """Take an event of the reader."""
        if event.kind == 'gap':
            self._gap = event.message
        elif event.kind == 'no_load':
            self._no_load = event.message

    def findings(self, counters: Counters, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong; `now_s` is monotonic."""
        n = self._recent.increase(Counter({
            'gaps': counters.gaps, 'polls': counters.polls, 'dropped': counters.dropped,
            'errors': sum(counters.errors.values())}), now_s)
        if n['gaps']:
            yield warning('gaps', f'{several(n["gaps"], "gap")} in the last {WINDOW_S:.0f} s, the '
                          f'last: {self._gap}; frames in a long one have no energy: '
                          f'{self._remedy}')
        if n['errors'] > ERRORS * n['polls']:
            worst = max(counters.errors, key=lambda kind: counters.errors[kind])
            yield warning('readings', f'{n["errors"]} of {n["polls"]} polls failed in the '
                          f'last {WINDOW_S:.0f} s, most as {worst}: {self._remedy}')
        if n['dropped']:
            yield warning('samples', f'{n["dropped"]} samples were lost in {WINDOW_S:.0f} s: this '
                          'computer is too slow for the meter; use another one for it')
        if self._unknown:
            yield note('fields', f'unknown: {", ".join(self._unknown)}, since the meter sends '
                       'impossible values; volts, amperes and watts are right')
        if self._no_load:
            yield warning('current', self._no_load)
        if self._low.update(self._voltage_v):
            yield error('voltage', f'under-voltage: {self._voltage_v:.2f} V at the meter, and '
                        'less at the computer; use a stronger supply and a shorter, thicker cable')
