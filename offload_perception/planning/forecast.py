"""Latency and energy of every candidate, from the estimators: the model of the whole planner.

    T = queue + preprocess + head + encode + round trip + bytes / bandwidth + wait + decode + tail
    E = E_head + P_active * encode + P_radio * bytes / bandwidth + J_byte * bytes [+ idle * T]

The variances of independent terms add. Head and link work on different frames at once, so the
slower of them sets the rate; where it takes longer than the camera's period, frames queue.
"""

from dataclasses import dataclass, field

import numpy as np

from offload_perception.planning.decision import Option
from offload_perception.planning.head import HeadEstimator
from offload_perception.planning.link import LinkEstimator
from offload_perception.planning.profile import DeviceProfile
from offload_perception.planning.server import ServerEstimator
from offload_perception.planning.sizes import SizeTable

Pairs = tuple[tuple[int, str], ...]


class Options:
    """The candidates, on board first, and where each stands."""

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
        """Return where `option` stands, or -1."""
        return self._places.get(option, -1)


@dataclass(frozen=True)
class Forecast:
    """One row for each option; all arrays are (k,). `usable` is False where it cannot run now.

    `guessed` marks options whose size no frame and no measurement has confirmed. `routes` has
    bandwidth [byte/s], round trip [s] and expected wait [s] of each server.
    """

    options: 'Options'
    latency_s: np.ndarray
    latency_spread_s: np.ndarray
    energy_j: np.ndarray
    energy_spread_j: np.ndarray
    agreement: np.ndarray
    usable: np.ndarray
    guessed: np.ndarray
    routes: dict[str, tuple[float, float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A server, its estimator, and the link to it."""

    server: str
    link: LinkEstimator
    load: ServerEstimator


class Forecaster:
    """Puts the estimators' figures together, on board first, then `pairs` for each route."""

    def __init__(self, profile: DeviceProfile, head: HeadEstimator, sizes: SizeTable,
                 pairs: Pairs, *, idle_share: float = 0.0) -> None:
        self._profile, self._head, self._sizes, self.pairs = profile, head, sizes, pairs
        self._cuts = np.array([cut for cut, _ in pairs], int)
        self._idle_w = idle_share * profile.idle_w
        self._fits_on_board = bool(profile.fits[-1])
        self._pair_fits = profile.fits[self._cuts].astype(float)
        self._options = Options(profile.last, pairs, ())
        sizes.watch(pairs)

    def forecast(self, routes: list[Route], usable: list[bool], overhead: tuple[float, float],
                 now_s: float, period_s: float = 0.0) -> Forecast:
        """Return the forecast for a frame that starts at `now_s`.

        :param usable: for each of `routes`, whether it may be used now.
        :param overhead: mean and standard deviation of what comes before the head [s].
        :param period_s: of the camera, 0 = unknown.
        """
        heads = np.array([*self._head.times(), *self._head.energies()])
        table = np.empty((7, 1 + len(self.pairs) * len(routes)))
        table[:4, 0] = heads[:, -1]
        table[4:, 0] = 1.0, self._fits_on_board, heads[0, -1]
        if routes:
            self._remote(table[:, 1:].reshape(7, len(routes), -1), routes, usable,
                         self._until_sent(heads), now_s)
        if period_s > 0:
            table[0] += np.maximum(table[6] - period_s, 0.0)
        return self._finished(routes, table, overhead)

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

    def _remote(self, table: np.ndarray, routes: list[Route], usable: list[bool],
                ahead: np.ndarray, now_s: float) -> None:
        """Fill in the table's columns of all routes, seen as (7, routes, pairs)."""
        nbytes, nbytes_sd, _, _, agreement, _ = self._sizes.columns
        head_s, head_var, head_j, head_j_var = ahead
        radio = self._profile.radio
        links = np.array([route.link.coefficients(now_s) for route in routes])
        s_per_byte = np.array([[route.link.s_per_byte] for route in routes])
        waits = np.array([route.load.wait(now_s) for route in routes])
        tails = np.take([route.load.tails() for route in routes], self._cuts, axis=2)
        powers = np.array([np.ones(len(nbytes)), nbytes, nbytes * nbytes, nbytes_sd * nbytes_sd])
        link_var = links[:, 1:] @ powers
        sending_s = s_per_byte * nbytes
        table[0] = head_s + sending_s + tails[:, 0] + (links[:, :1] + waits[:, :1])
        table[1] = head_var + link_var + tails[:, 1] + waits[:, 1:] ** 2
        table[2] = head_j + radio.sending_w * sending_s + radio.j_per_byte * nbytes
        table[3] = head_j_var + radio.sending_w ** 2 * link_var
        table[4] = agreement
        table[5] = self._pair_fits * np.array(usable, float)[:, np.newaxis]
        table[6] = np.maximum(head_s, sending_s)

    def _finished(self, routes: list[Route], table: np.ndarray,
                  overhead: tuple[float, float]) -> Forecast:
        options = self._options_of(routes)
        latency_s = table[0] + overhead[0]
        usable = (table[5] > 0) & np.isfinite(latency_s + table[2])
        energy_j = table[2] + self._idle_w * latency_s if self._idle_w else table[2]
        guessed = np.zeros(len(options), bool)
        guessed[1:].reshape(-1, len(self.pairs))[:] = self._sizes.columns[5] > 0
        return Forecast(options, latency_s, np.sqrt(table[1] + overhead[1] * overhead[1]),
                        energy_j, np.sqrt(table[3]), table[4], usable, guessed,
                        {r.server: (r.link.bandwidth, r.link.round_trip_s, r.load.wait_s)
                         for r in routes})

    def _options_of(self, routes: list[Route]) -> Options:
        servers = tuple(route.server for route in routes)
        if servers != self._options.servers:
            self._options = Options(self._profile.last, self.pairs, servers)
        return self._options
