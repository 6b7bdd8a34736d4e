"""The planner's model: latency and energy of every candidate, from the estimators.

    T = queue + preprocess + head + encode + round trip + bytes / bandwidth + wait + decode + tail
    E = E_head + P_active * encode + P_radio * bytes / bandwidth + J_byte * bytes [+ idle * T]

The variances of independent terms add. It is known how long the frame has waited, and roughly when
the radio will have sent the frames before it.
"""

from dataclasses import dataclass, field

import numpy as np

from offload_perception.planning.beat import BeatWatch
from offload_perception.planning.decision import Option
from offload_perception.planning.head import HeadEstimator
from offload_perception.planning.hedge import HedgeCost
from offload_perception.planning.link import LinkEstimator
from offload_perception.planning.server_estimate import ServerEstimator
from offload_perception.planning.sizes import SizeTable
from offload_perception.profiles.device_profile import DeviceProfile

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

    `guessed` marks options whose size no frame and no measurement has confirmed. `hedge` is the
    cost of finishing each option on board, None if the network does not fit there. `routes` has
    bandwidth [byte/s], NaN if it is unknown, round trip [s] and expected wait [s] of each
    server.
    """

    options: 'Options'
    latency_s: np.ndarray
    latency_spread_s: np.ndarray
    energy_j: np.ndarray
    energy_spread_j: np.ndarray
    agreement: np.ndarray
    usable: np.ndarray
    guessed: np.ndarray
    hedge: HedgeCost | None = None
    routes: dict[str, tuple[float, float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A server, its estimator, and the link to it."""

    server: str
    link: LinkEstimator
    load: ServerEstimator
    beats: BeatWatch = field(default_factory=BeatWatch)


@dataclass(frozen=True)
class Moment:
    """The state at the start of a frame.

    `waited_s` has passed since the frame's arrival; the radio is busy for `radio_busy_s`; the
    link to each route is taken to be `slowdowns` times as slow as estimated, by default not.
    """

    now_s: float
    waited_s: float = 0.0
    radio_busy_s: float = 0.0
    slowdowns: tuple[float, ...] = ()


class Forecaster:
    """Combines the estimators' figures, on board first, then `pairs` for each route."""

    def __init__(self, profile: DeviceProfile, head: HeadEstimator, sizes: SizeTable,
                 pairs: Pairs, *, idle_share: float = 0.0, agreement: float = 1.0) -> None:
        self._profile, self._head, self._sizes, self.pairs = profile, head, sizes, pairs
        self._cuts = np.array([cut for cut, _ in pairs], int)
        self._idle_w = idle_share * profile.idle_w
        self._whole_fits = bool(profile.fits[-1])
        self._masks: dict[tuple[bool, ...], np.ndarray] = {}
        self._marks, self._marked = (np.empty(0), np.empty(0)), (-1, -1)
        self._options = Options(profile.last, pairs, ())
        self._whole_agreement = agreement
        sizes.watch(pairs)

    def forecast(self, routes: list[Route], usable: list[bool], overhead: tuple[float, float],
                 moment: Moment) -> Forecast:
        """Return the forecast for a frame that starts now.

        :param usable: for each of `routes`, whether it may be used now.
        :param overhead: mean and standard deviation of what comes before the head [s].
        """
        heads = np.array([*self._head.times(), *self._head.energies()])
        table = np.empty((4, 1 + len(self.pairs) * len(routes)))
        table[:, 0] = heads[:, -1]
        if routes:
            ahead = self._until_sent(np.minimum(heads, _NEVER))
            remote = self._remote(routes, ahead, moment)
            if moment.radio_busy_s > overhead[0]:
                remote[0] += np.maximum(moment.radio_busy_s - overhead[0] - ahead[0], 0.0)
            table[:, 1:] = remote.reshape(4, -1)
        table[0] += overhead[0] + moment.waited_s
        table[1] += overhead[1] * overhead[1]
        return self._finished(routes, tuple(usable), table, heads, moment.now_s)

    def _until_sent(self, heads: np.ndarray) -> np.ndarray:
        """Return seconds, their variance, joules and theirs until the bytes are ready, (4, k)."""
        _, _, encode_s, encode_sd, _, _ = self._sizes.columns
        active_w = self._profile.active_w
        ahead = np.take(heads, self._cuts, axis=1)
        ahead[0] += encode_s
        ahead[2] += active_w * encode_s
        encode_var = encode_sd * encode_sd
        ahead[1] += encode_var
        ahead[3] += active_w * active_w * encode_var
        return ahead

    def _remote(self, routes: list[Route], ahead: np.ndarray, moment: Moment) -> np.ndarray:
        """Return seconds, their variance, joules and theirs of all routes, (4, routes, pairs).

        All of them are linear in 1, n, n^2, u^2 (see `LinkEstimator.coefficients`) and `ahead`,
        so one product of matrices does it; only the tails come on top.
        """
        radio = self._profile.radio
        rows: tuple[list[tuple[float, ...]], ...] = ([], [], [], [])
        for route, slow in zip(routes, moment.slowdowns or [1.0] * len(routes), strict=True):
            t0, v0, v1, v2, v3 = route.link.coefficients(moment.now_s, slow)
            wait_s, wait_sd = route.load.wait(moment.now_s)
            s_per_byte, w2 = slow * route.link.s_per_byte, radio.sending_w ** 2
            typical = route.link.typical
            rows[0].append((typical * t0 + wait_s, typical * s_per_byte, 0, 0, 1, 0, 0, 0))
            rows[1].append((v0 + wait_sd * wait_sd, v1, v2, v3, 0, 1, 0, 0))
            rows[2].append((0, radio.sending_w * s_per_byte + radio.j_per_byte, 0, 0, 0, 0, 1, 0))
            rows[3].append((w2 * v0, w2 * v1, w2 * v2, w2 * v3, 0, 0, 0, 1))
        remote: np.ndarray = np.array(rows, float) @ np.concatenate([self._sizes.powers, ahead])
        for i, route in enumerate(routes):
            tails_s, tails_var = route.load.tails()
            remote[0, i] += tails_s[self._cuts]
            remote[1, i] += tails_var[self._cuts]
        return remote

    def _finished(self, routes: list[Route], usable: tuple[bool, ...], table: np.ndarray,
                  heads: np.ndarray, now_s: float) -> Forecast:
        if self._idle_w:
            table[2] += self._idle_w * table[0]
        agreement, guessed = self._marks_of(len(routes))
        return Forecast(self._options_of(routes), table[0], np.sqrt(table[1]), table[2],
                        np.sqrt(table[3]), agreement, self._mask_of(usable), guessed,
                        self._hedge_cost(heads, len(routes)),
                        {r.server: (r.link.known_bandwidth, r.link.round_trip_s,
                                    r.load.wait(now_s)[0])
                         for r in routes})

    def _hedge_cost(self, heads: np.ndarray, routes: int) -> HedgeCost | None:
        """Return the cost of the layers after each cut on board; None if they do not fit.

        Never negative, although a head may seem to take longer than the whole network.
        """
        if not self._whole_fits:
            return None
        heads[1] = np.sqrt(heads[1])
        cost = np.zeros((3, 1 + routes * len(self.pairs)))
        cost[0, 0] = np.inf
        if routes:
            after = np.maximum(heads[:3, -1:] - heads[:3], 0.0)[:, self._cuts]
            cost[:, 1:] = np.tile(after, routes)
        return HedgeCost(*cost)

    def _mask_of(self, usable: tuple[bool, ...]) -> np.ndarray:
        """Return which options fit on board and have a usable route."""
        if usable not in self._masks:
            fits = self._profile.fits
            self._masks[usable] = np.concatenate([
                fits[-1:], *(fits[self._cuts] & use for use in usable)])
        return self._masks[usable]

    def _marks_of(self, routes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the agreement of all options, and which have a guessed size."""
        if self._marked != (routes, self._sizes.version):
            agreement, guessed = self._sizes.columns[4:]
            self._marks = (np.concatenate([[self._whole_agreement], np.tile(agreement, routes)]),
                           np.concatenate([[False], np.tile(guessed > 0, routes)]))
            self._marked = (routes, self._sizes.version)
        return self._marks

    def _options_of(self, routes: list[Route]) -> Options:
        servers = tuple(route.server for route in routes)
        if servers != self._options.servers:
            self._options = Options(self._profile.last, self.pairs, servers)
        return self._options
