"""The layers that run in a node: their device, memory, weights and speed."""

from collections.abc import Iterator

from offload_perception.health.finding import Finding, note, warning
from offload_perception.health.trend import Hysteresis

SLOW, CALM = 1.5, 1.3  # time of a head relative to the profile


def network_findings(trouble: str, fallback: str, trained: bool,
                     streamed: int = 0, doubt: str = '') -> Iterator[Finding]:
    """Yield the findings on the layers.

    :param trouble: that of the `network.runnable.Network`.
    :param fallback: that of its choice: device auto found no Edge TPU, and none was asked for.
    :param streamed: bytes of parameters that do not fit on an Edge TPU.
    :param doubt: that of the `model.artefact.Artefact`.
    """
    if trouble:
        yield warning('device', trouble)
    elif fallback:
        yield note('device', fallback)
    if streamed:
        yield warning('on-chip memory', f'{streamed} bytes of parameters do not fit on the Edge '
                      'TPU and are streamed for every frame; cut earlier')
    if doubt:
        yield warning('agreement', doubt)
    if not trained:
        yield note('weights', 'UNTRAINED weights: the labels mean nothing')


class SpeedWatch:
    """Finds layers on board that take longer than the planner's profile says."""

    def __init__(self) -> None:
        self._slow = Hysteresis(on=SLOW, off=CALM)

    def findings(self, slowdown: float) -> Iterator[Finding]:
        """Yield what is wrong; `slowdown` is the time of a head relative to the profile."""
        if self._slow.update(slowdown):
            yield warning('speed', f'layers on board take {slowdown:.1f} times as long as in the '
                          'profile: the CPU is throttled or shared; the planner goes by the '
                          'longer times')
