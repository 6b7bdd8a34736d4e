"""What is wrong with the source that a node plays."""

from collections.abc import Iterator
from typing import Any

from offload_perception.camera.player import Player
from offload_perception.camera.stream import without_password
from offload_perception.health.arrivals import Arrivals
from offload_perception.health.finding import Finding, error, note, warning
from offload_perception.health.trend import Recent

NAMED = 5  # of the files that are left out
SLOW_SHARE = 0.2  # of the frames asked for


class SourceWatch:
    """Watches a player from its start on; times are monotonic seconds.

    :param name: of the source, as it was given.
    """

    def __init__(self, player: Player, name: str, started_s: float) -> None:
        self._player, self._name = player, without_password(name)
        self._arrivals, self._recent = Arrivals('frame', started_s), Recent()

    def observe(self, now_s: float) -> None:
        """Take note of a frame."""
        self._arrivals.observe(now_s)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong."""
        player, source = self._player, self._player.source
        if player.ended:
            yield note('source', player.ended)
        elif player.problem:
            yield error('source', player.problem)
        elif silent := self._arrivals.finding(now_s, where=self._name, why=source.hangs):
            yield silent
        if slow := self._slowness(player, now_s):
            yield slow
        if left_out := in_words(source.left_out):
            yield note('pictures', left_out)

    def _slowness(self, player: Player, now_s: float) -> Finding | None:
        """Return the finding for a source that does not keep its rate."""
        cadence, rate_hz = player.cadence, player.source.rate_hz
        if cadence is None or player.problem or player.ended:
            return None
        missed = self._recent.increase({'frames': cadence.missed}, now_s)['frames']
        share = missed / (rate_hz * self._recent.window_s)
        if share <= SLOW_SHARE:
            return None
        return warning('rate', f'{(1 - min(share, 1)) * rate_hz:.1f} of {rate_hz:g} frames a '
                       'second come: the source, the size or this computer is too slow')


def source_values(player: Player | None, name: str) -> dict[str, Any]:
    """Return what diagnostics say of the source `name`; without a player it is closed."""
    return {'source': without_password(name),
            'shows': player.source.description if player else 'nothing, it is closed',
            'pictures skipped': player.source.skipped if player else 0,
            'outages over': player.reopened if player else 0}


def in_words(left_out: dict[str, str]) -> str:
    """Return how many files are not shown, the first of them with the reason; empty if none."""
    if not left_out:
        return ''
    first = [f'{name} ({why})' for name, why in list(left_out.items())[:NAMED]]
    return (f'{len(left_out)} file(s) left out: {", ".join(first)}'
            + (' ...' if len(left_out) > NAMED else ''))
