"""Problems of a server: overload, refusals, lost tensors and replies."""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from offload_perception.frames import Status
from offload_perception.health.finding import Finding, error, several, warning
from offload_perception.health.trend import Hysteresis, Recent
from offload_perception.serving.server_load import Load

BUSY, CALM = 0.9, 0.8  # utilisation
FULL, ROOMY = 0.75, 0.5  # of the queue
NOTABLE = 0.02  # share of rejected tensors; fewer are only counted
_REMEDY = 'add a server, or let drones keep more on board'


class ServerWatch:
    """Turns load and counts into findings.

    :param queue_limit: longest queue, in tensors.
    """

    def __init__(self, queue_limit: int) -> None:
        self._limit = queue_limit
        self._recent, self._by_drone = Recent(), Recent()
        self._busy, self._full = Hysteresis(BUSY, CALM), Hysteresis(FULL, ROOMY)

    def findings(self, load: Load, replies: Mapping[Status, int], lost_replies: int,
                 last: Mapping[Status, str], now_s: float, overwritten: int = 0,
                 sent: Mapping[str, int] = MappingProxyType({})) -> Iterator[Finding]:
        """Yield what was wrong recently.

        :param replies: how many of each status there were so far.
        :param lost_replies: how many replies could not be delivered so far.
        :param last: the last refusal of each status, in words.
        :param overwritten: how many tensors the middleware lost so far.
        :param sent: how many each drone has sent.
        """
        n = self._recent.increase({**{s.name: replies[s] for s in Status}, 'lost': lost_replies,
                                'overwritten': overwritten}, now_s)
        by_drone = self._by_drone.increase(sent, now_s)
        within = f'in the last {self._recent.window_s:.0f} s'
        yield from self._overload(load, n, within)
        if n['overwritten'] > NOTABLE * by_drone.total():
            (drone, most), = by_drone.most_common(1)
            yield warning('flood', f'{several(n["overwritten"], "tensor")} overwritten before the '
                          f'server could take them {within}; {drone} sent {most} of '
                          f'{by_drone.total()}: have it send less, or add a server')
        if n['FAILED']:
            yield error('tails', f'{several(n["FAILED"], "tail")} could not be computed {within}: '
                        f'{last.get(Status.FAILED, "")}')
        if n['REFUSED']:
            yield warning('refused', f'{several(n["REFUSED"], "tensor")} refused {within}: '
                          f'{last.get(Status.REFUSED, "")}')
        if n['lost']:
            yield warning('replies', f'{n["lost"]} of the replies had no subscriber {within}: '
                          'drones left, or their link is down')

    def _overload(self, load: Load, n: Counter[str], within: str) -> Iterator[Finding]:
        busy, full = (self._busy.update(load.utilisation),
                      self._full.update(load.queue_length / self._limit))
        rejected = n['BUSY'] + n['LATE']
        if busy or full or rejected > NOTABLE * (rejected + n['OK']):
            yield warning('load', f'overloaded: busy {load.utilisation:.0%} of the time, '
                          f'{load.queue_length} of {self._limit} tensors wait, '
                          f'{rejected} rejected {within}; {_REMEDY}')
