"""The planner's model: latency and energy of every candidate, from the estimates.

    T = waited + overhead + head + encode + round trip + bytes / bandwidth + wait + decode + tail
    E = E_head + P_active * encode + P_radio * bytes / bandwidth + J_byte * bytes + E_tail

The variances of independent terms add. E_tail is that of the radio, which stays on for a while
after it has sent.
"""

from dataclasses import dataclass, field
from math import inf

import numpy as np

from offload_perception.frames import Outcome
from offload_perception.planning.cut_times import CutTimes
from offload_perception.planning.decision import Option
from offload_perception.planning.estimate import Estimate
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.hedge import HedgeCost
from offload_perception.planning.link import MESSAGE_BYTES
from offload_perception.planning.route import Route
from offload_perception.planning.sizes import SizeTable
from offload_perception.profiles.device_profile import DeviceProfile

_RADIO_RANGE = 0.1, 5.0  # of metered energy of sending, relative to the expected one
_NEVER = 1e9  # instead of infinite time or energy of a head that does not fit: no NaN in sums
Pairs = tuple[tuple[int, str], ...]


class Options:
    """The candidates, on board first, and the row of each."""

    def __init__(self, last: int, pairs: Pairs, servers: tuple[str, ...]) -> None:
        self.servers = servers
        self._all = [Option(last), *(Option(cut, codec, server)
                                     for server in servers for cut, codec in pairs)]
        self._places = {option: place for place, option in enumerate(self._all)}

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, place: int) -> Option:
        return self._all[place]

    def place(self, option: Option | None) -> int:
        """Return the row of `option`, or -1."""
        return -1 if option is None else self._places.get(option, -1)


@dataclass(frozen=True)
class Forecast:
    """One row for each option; all arrays are (k,). `usable` is False if it cannot run now.

    `head_s` and `sending_s` are how long the worker and the link are busy with a frame,
    `unanswered` is the chance that no reply comes at all, 0 .. 1. `hedge` is
    the cost of finishing each option on board, None if the network does not fit there. `routes`
    has bandwidth [byte/s], NaN if it is unknown, round trip [s] and expected wait [s] of each
    server.
    """

    options: Options
    latency_s: np.ndarray
    latency_spread_s: np.ndarray
    energy_j: np.ndarray
    energy_spread_j: np.ndarray
    head_s: np.ndarray
    sending_s: np.ndarray
    unanswered: np.ndarray
    agreement: np.ndarray
    usable: np.ndarray
    hedge: HedgeCost | None = None
    routes: dict[str, tuple[float, float, float]] = field(default_factory=dict)


class Forecaster:
    """Combines the estimates' figures, on board first, then `pairs` for each route.

    :ivar head: times of the heads on board.
    :ivar energy: metered energy of a head, relative to the profile.
    :ivar radio: metered energy of sending, relative to the radio's in the profile.
    :ivar overhead: what comes before the head [s].
    """

    def __init__(self, profile: DeviceProfile, sizes: SizeTable, pairs: Pairs, *,
                 agreement: float = 1.0) -> None:
        self._profile, self._sizes, self.pairs = profile, sizes, pairs
        self._cuts = np.array([cut for cut, _ in pairs], int)
        self._fits, self._head_j = profile.fits, profile.head_j
        self._spread_j = profile.head_spread_j
        with np.errstate(invalid='ignore'):
            spread = np.nan_to_num(profile.head_spread_s / profile.head_s)
        # Layers that were not used before are merged while they run, so a cut is slow at first.
        self.head = CutTimes(profile.head_s, spread, shared_after=20)
        self.energy = Estimate(1.0, spread=0.1)
        self.radio = Estimate(1.0, spread=0.1, noise=0.5)
        self.overhead = Estimate(1e-4, noise=0.3)
        self._agreement = agreement
        self._options = Options(profile.last, pairs, ())
        sizes.watch(pairs)

    def observe_energy(self, report: FrameReport, energy_j: float, sending_s: float) -> None:
        """Take a frame's metered energy above idle, of the layers and of `sending_s` [J]."""
        head_j = float(self._head_j[report.cut]) * self.energy.level
        if report.outcome is Outcome.LOCAL and not report.server:
            self.energy.observe(energy_j * self.energy.level / head_j if head_j else 0.0)
        elif report.outcome is Outcome.REMOTE:
            nbytes = report.nbytes + MESSAGE_BYTES
            expected_j = self._profile.radio.energy_j(sending_s, nbytes)
            sent_j = energy_j - head_j - self._profile.active_w * report.encode_s
            low, high = _RADIO_RANGE  # beyond, the time on the link was hardly that of its bytes
            if expected_j and low <= sent_j / expected_j <= high:
                self.radio.observe(sent_j / expected_j)

    def forecast(self, routes: list[Route], now_s: float, waited_s: float = 0.0,
                 period_s: float = inf) -> Forecast:
        """Return the forecast of a frame that starts now, `waited_s` after its arrival.

        :param period_s: between two frames, for the radio's tail.
        """
        head_s, head_var = self.head.times()
        level = self.energy.level
        heads = np.minimum([head_s, head_var, self._head_j * level,
                            (self._spread_j * level) ** 2
                            + (self._head_j * (level * self.energy.noise)) ** 2], _NEVER)
        table = np.empty((6, 1 + len(self.pairs) * len(routes)))
        table[:4, 0] = heads[:, -1]
        table[4:, 0] = heads[0, -1], 0.0
        if routes:
            table[:, 1:] = self._remote(routes, heads, now_s, period_s).reshape(6, -1)
        table[0] += self.overhead.level + waited_s
        table[1] += (self.overhead.level * self.overhead.spread) ** 2
        return self._finished(routes, table, heads, now_s)

    def _remote(self, routes: list[Route], heads: np.ndarray, now_s: float,
                period_s: float) -> np.ndarray:
        """Return s, s^2, J, J^2, worker's and link's s of all routes, (6, routes, pairs)."""
        nbytes, bytes_sd, encode_s, encode_sd, _ = self._sizes.columns
        nbytes = nbytes + MESSAGE_BYTES
        radio, active_w = self._profile.radio, self._profile.active_w
        ahead = np.take(heads, self._cuts, axis=1)
        remote = np.empty((6, len(routes), len(self.pairs)))
        for i, route in enumerate(routes):
            wait_s, wait_sd = route.wait(now_s)
            tails_s, tails_var = route.tails()
            v0, v1, v2, v3 = route.link.coefficients(now_s)
            sending_s = route.link.s_per_byte * nbytes
            sent_var = np.maximum(v0 + v1 * nbytes + v2 * nbytes ** 2, 0.0) + v3 * bytes_sd ** 2
            remote[:, i] = (
                ahead[0] + encode_s + route.link.round_trip_s + sending_s + wait_s
                + tails_s[self._cuts],
                ahead[1] + encode_sd ** 2 + sent_var + wait_sd ** 2 + tails_var[self._cuts],
                ahead[2] + active_w * encode_s + self.radio.level * (
                    radio.energy_j(sending_s, nbytes) + radio.tail_j(period_s - sending_s)),
                ahead[3] + (active_w * encode_sd) ** 2 + radio.sending_w ** 2 * sent_var,
                ahead[0], sending_s)
        return remote

    def _finished(self, routes: list[Route], table: np.ndarray, heads: np.ndarray,
                  now_s: float) -> Forecast:
        servers = tuple(route.server for route in routes)
        if servers != self._options.servers:
            self._options = Options(self._profile.last, self.pairs, servers)
        fits = self._fits[self._cuts]
        usable = np.concatenate([self._fits[-1:], *(fits & r.usable(now_s) for r in routes)])
        agreement = np.concatenate([[self._agreement],
                                    np.tile(self._sizes.columns[4], len(routes))])
        unanswered = np.concatenate([
            [0.0], np.repeat([r.unanswered for r in routes], len(self.pairs))])
        return Forecast(
            self._options, table[0], np.sqrt(table[1]), table[2], np.sqrt(table[3]), table[4],
            table[5], unanswered, agreement, usable, self._hedge_cost(heads, len(routes)),
            {r.server: (r.link.known_bandwidth, r.link.round_trip_s, r.wait(now_s)[0])
             for r in routes})

    def _hedge_cost(self, heads: np.ndarray, routes: int) -> HedgeCost | None:
        """Return the cost of the layers after each cut on board; None if they do not fit.

        Never negative, although a head may seem to take longer than the whole network.
        """
        if not self._fits[-1]:
            return None
        cost = np.zeros((3, 1 + routes * len(self.pairs)))
        cost[0, 0] = np.inf
        if routes:
            seconds, joules = np.maximum(heads[[0, 2], -1:] - heads[[0, 2]], 0.0)[:, self._cuts]
            relative = np.sqrt(heads[1, -1]) / heads[0, -1]
            cost[:, 1:] = np.tile((seconds, relative * seconds, joules), routes)
        return HedgeCost(*cost)
