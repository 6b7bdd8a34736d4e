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
    """The candidates, on board first, and the row of each; `cuts` has the cut of each row."""

    def __init__(self, last: int, pairs: Pairs, servers: tuple[str, ...]) -> None:
        self.servers = servers
        self.cuts = np.array([last, *(len(servers) * [cut for cut, _ in pairs])])
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
        options = self._options_of(routes)
        head_s, head_var = self.head.times()
        level = self.energy.level
        heads = np.minimum([head_s, head_var, self._head_j * level,
                            (self._spread_j * level) ** 2
                            + (self._head_j * (level * self.energy.noise)) ** 2], _NEVER)
        ahead = heads[:, options.cuts]
        figures = np.zeros((5, len(options)))
        figures[:4] = ahead
        figures[0] += self.overhead.level + waited_s
        figures[1] += (self.overhead.level * self.overhead.spread) ** 2
        if routes:
            figures[:, 1:] += self._sent(routes, now_s, period_s).reshape(5, -1)
        count, known = len(self.pairs), self._sizes.columns[4]
        usable = np.repeat([True, *(r.usable(now_s) for r in routes)], [1] + len(routes) * [count])
        unanswered = np.repeat([0.0, *(r.unanswered for r in routes)], [1] + len(routes) * [count])
        return Forecast(
            options, figures[0], np.sqrt(figures[1]), figures[2], np.sqrt(figures[3]), ahead[0],
            figures[4], unanswered,
            np.concatenate([[self._agreement], *len(routes) * [known]]),
            usable & self._fits[options.cuts], self._hedge_cost(heads, ahead),
            {r.server: (r.link.known_bandwidth, r.link.round_trip_s, r.wait(now_s)[0])
             for r in routes})

    def _options_of(self, routes: list[Route]) -> Options:
        """Return the candidates on these routes; the last ones as long as the servers stay."""
        servers = tuple(route.server for route in routes)
        if servers != self._options.servers:
            self._options = Options(self._profile.last, self.pairs, servers)
        return self._options

    def _sent(self, routes: list[Route], now_s: float, period_s: float) -> np.ndarray:
        """Return s, s^2, J, J^2 and the link's s of what follows the head, (5, routes, pairs)."""
        nbytes, bytes_sd, encode_s, encode_sd, _ = self._sizes.columns
        nbytes = nbytes + MESSAGE_BYTES
        radio, active_w = self._profile.radio, self._profile.active_w
        waits = [route.wait(now_s) for route in routes]
        s_per_byte, fixed_s, fixed_var, v0, v1, v2, v3 = np.array([
            (r.link.s_per_byte, r.link.round_trip_s + wait_s, wait_sd ** 2,
             *r.link.coefficients(now_s))
            for r, (wait_s, wait_sd) in zip(routes, waits, strict=True)]).T[:, :, None]
        tails_s, tails_var = np.array([r.tails() for r in routes])[:, :, self._cuts].swapaxes(0, 1)
        sending_s = s_per_byte * nbytes
        sent_var = np.maximum(v0 + v1 * nbytes + v2 * nbytes ** 2, 0.0) + v3 * bytes_sd ** 2
        return np.stack([
            encode_s + fixed_s + sending_s + tails_s,
            encode_sd ** 2 + fixed_var + sent_var + tails_var,
            active_w * encode_s + self.radio.level * (
                radio.energy_j(sending_s, nbytes) + radio.tail_j(period_s - sending_s)),
            (active_w * encode_sd) ** 2 + radio.sending_w ** 2 * sent_var,
            sending_s])

    def _hedge_cost(self, heads: np.ndarray, ahead: np.ndarray) -> HedgeCost | None:
        """Return the cost of the layers after each cut on board; None if they do not fit.

        Never negative, although a head may seem to take longer than the whole network.
        """
        if not self._fits[-1]:
            return None
        seconds, joules = np.maximum(heads[[0, 2], -1:] - ahead[[0, 2]], 0.0)
        relative = np.sqrt(heads[1, -1]) / heads[0, -1]
        spread_s = relative * seconds
        seconds[0] = np.inf
        return HedgeCost(seconds, spread_s, joules)
