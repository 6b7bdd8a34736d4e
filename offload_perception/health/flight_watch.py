"""What is missing from a flight stack."""

from collections.abc import Iterator, Mapping

from offload_perception.flight.policy import FULL
from offload_perception.health.arrivals import Arrivals
from offload_perception.health.finding import Finding, warning

CLOCKS_APART_S = 1.0  # more is not a delay of the link, but an unsynchronised clock
_POSES = ('position', 'attitude')


class FlightWatch:
    """Follows a flight stack's poses; all but stamps are monotonic seconds.

    :param topics: the topics of `state`, `position` and `attitude`.
    """

    def __init__(self, topics: Mapping[str, str], started_s: float) -> None:
        self._topics = topics
        self._arrivals = {name: Arrivals(name, started_s) for name in _POSES}
        self._apart_s: dict[str, float] = {}
        self._valid: dict[str, bool] = {}

    def observe_pose(self, name: str, apart_s: float, valid: bool, now_s: float) -> None:
        """Take the arrival of a pose whose stamp is `apart_s` ahead of this computer's clock."""
        self._valid[name] = valid
        self._arrivals[name].observe(now_s)
        self._apart_s[name] = apart_s

    def findings(self, vehicle_known: bool, now_s: float) -> Iterator[Finding]:
        """Yield what is missing."""
        if not vehicle_known:
            yield warning('vehicle', f'no recent message on {self._topics["state"]}, or no '
                          f'autopilot is connected to it: policy {FULL.name}; is the bridge to '
                          'the autopilot running?')
        for name in _POSES:
            if found := self._pose_finding(name, now_s):
                yield found

    def _pose_finding(self, name: str, now_s: float) -> Finding | None:
        topic = self._topics[name]
        silent = self._arrivals[name].finding(
            now_s, where=topic, why='results have none; have the autopilot send it')
        if silent:
            return silent
        if abs(apart_s := self._apart_s[name]) > CLOCKS_APART_S:
            return warning(name, f"stamps on {topic} are {apart_s:.1f} s off this computer's "
                           'clock: synchronise them (PX4: UXRCE_DDS_SYNCT 1, MAVROS: timesync)')
        if not self._valid[name]:
            return warning(name, f'the {name} on {topic} is not valid; does the autopilot have a '
                           'GNSS fix?')
        return None
