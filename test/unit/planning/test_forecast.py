"""The forecast's products of matrices against a plain loop over the options."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.forecast import Forecast, Forecaster, Moment, Route
from offload_perception.planning.head import HeadEstimator
from offload_perception.planning.link import LinkEstimator
from offload_perception.planning.server_estimate import ServerEstimator, ServerReport
from offload_perception.planning.sizes import SizeTable
from offload_perception.profiles.device_profile import DeviceProfile, Radio

PAIRS = ((0, 'raw'), (0, 'jpeg:90'), (3, 'raw'), (6, 'auto'), (14, 'lossy:4'), (16, 'auto'))
SPREAD = 0.05  # of the links, relative
OVERHEAD_S, OVERHEAD_SD = 0.004, 0.002


class World:
    """A drone with two servers, each term of a size that counts."""

    def __init__(self, shape: NetworkShape, profile: DeviceProfile, idle_share: float) -> None:
        radio = Radio(sending_w=1.3, j_per_byte=2e-6)
        self.profile = profile = replace(profile, radio=radio)
        self.head, self.sizes = HeadEstimator(profile), SizeTable(shape)
        self.idle_share = idle_share
        for cut, codec in PAIRS:  # sizes and times that were really met, with spreads
            for nbytes in (4000.0 + 500 * cut, 5000.0 + 500 * cut, 3500.0 + 500 * cut):
                self.sizes.observe(cut, codec, nbytes, 0.01 + 1e-6 * nbytes)
        for factor in (1.2, 1.3, 1.1):
            self.head.observe(6, factor * float(profile.head_s[6]))
            self.head.observe_energy(6, 1.1 * factor * float(profile.head_j[6]))
        self.links = {'/near': (2e5, 0.01), '/far': (3e4, 0.08)}
        self.routes = [Route(name, LinkEstimator.known(*link, SPREAD), self._load(shape, name))
                       for name, link in self.links.items()]
        self.forecaster = Forecaster(profile, self.head, self.sizes, PAIRS, idle_share=idle_share)

    def _load(self, shape: NetworkShape, name: str) -> ServerEstimator:
        load = ServerEstimator(shape)
        tails_s = tuple(0.3 - 0.01 * cut for cut in range(shape.last))
        load.report(0.0, ServerReport(name, 0.02 if name == '/near' else 0.07, 0.2, tails_s))
        load.observe(0.0, 6, wait_s=0.03, decode_s=0.005, tail_s=0.24)
        return load

    def forecast(self, moment: Moment) -> Forecast:
        return self.forecaster.forecast(self.routes, [True, True], (OVERHEAD_S, OVERHEAD_SD),
                                        moment)

    def expected(self, moment: Moment) -> list[tuple[float, float, float, float]]:
        """Return time, its variance, energy and its variance of each option, term by term."""
        head_s, head_var = self.head.times()
        head_j, head_j_var = self.head.energies()
        p, last = self.profile, self.profile.last
        ready_s = OVERHEAD_S + moment.waited_s
        rows = [(ready_s + head_s[last], OVERHEAD_SD ** 2 + head_var[last],
                 head_j[last], head_j_var[last])]
        for route, slow in zip(self.routes, moment.slowdowns or (1.0, 1.0), strict=True):
            bandwidth, round_trip_s = self.links[route.server]
            wait_s, wait_sd = route.load.wait(moment.now_s)
            tails_s, tails_var = route.load.tails()
            for cut, codec in PAIRS:
                n, n_sd, encode_s, encode_sd, *_ = self.sizes.column(cut, codec)
                before_s = head_s[cut] + encode_s
                blocked_s = max(moment.radio_busy_s - OVERHEAD_S - before_s, 0.0)
                empty_s, sending_s = slow * round_trip_s, slow * n / bandwidth
                s_per_byte_sd = slow * n_sd / bandwidth
                # Two errors of the link's parameters, and noise on the whole: all relative.
                link_var = SPREAD ** 2 * (empty_s ** 2 + sending_s ** 2
                                          + (empty_s + sending_s) ** 2) + s_per_byte_sd ** 2
                rows.append((
                    ready_s + before_s + blocked_s + empty_s + sending_s + wait_s + tails_s[cut],
                    OVERHEAD_SD ** 2 + head_var[cut] + encode_sd ** 2 + link_var + wait_sd ** 2
                    + tails_var[cut],
                    head_j[cut] + p.active_w * encode_s + p.radio.sending_w * sending_s
                    + p.radio.j_per_byte * n,
                    head_j_var[cut] + (p.active_w * encode_sd) ** 2
                    + p.radio.sending_w ** 2 * link_var))
        idle_w = self.idle_share * p.idle_w
        return [(t, t_var, e + idle_w * t, e_var) for t, t_var, e, e_var in rows]


@pytest.mark.parametrize('idle_share', [0.0, 0.5])
@pytest.mark.parametrize('moment', [
    Moment(0.0), Moment(0.5, waited_s=0.03), Moment(0.0, radio_busy_s=0.3),
    Moment(0.0, slowdowns=(1.0, 4.0))], ids=['quiet', 'waited', 'radio busy', 'slow link'])
def test_each_option_costs_what_its_terms_add_up_to(shape: NetworkShape, coral: DeviceProfile,
                                                    moment: Moment, idle_share: float) -> None:
    world = World(shape, coral, idle_share)
    found = world.forecast(moment)
    time_s, time_var, energy_j, energy_var = np.array(world.expected(moment)).T
    np.testing.assert_allclose(found.latency_s, time_s)
    np.testing.assert_allclose(found.latency_spread_s, np.sqrt(time_var))
    np.testing.assert_allclose(found.energy_j, energy_j)
    np.testing.assert_allclose(found.energy_spread_j, np.sqrt(energy_var))


def test_every_term_counts(shape: NetworkShape, coral: DeviceProfile) -> None:
    """Were one of them nothing, the test above would not see it go."""
    world = World(shape, coral, 0.5)
    table = np.array([world.sizes.column(*pair)[:4] for pair in PAIRS])
    assert (table > 0).all()
    for route in world.routes:
        assert min(route.load.wait(0.0)) > 0 and (route.load.tails()[1] > 0).all()
        assert (route.load.tails()[0][[cut for cut, _ in PAIRS]] > 0.1).all()
    radio = world.profile.radio
    assert radio.j_per_byte * table[:, 0].min() > 0.005
    assert world.profile.active_w * table[:, 2].min() > 0.005
    assert (world.head.energies()[1][1:] > 0).all() and (world.head.times()[1][1:] > 0).all()


def test_the_rest_on_board_is_the_whole_without_the_head(shape: NetworkShape,
                                                         coral: DeviceProfile) -> None:
    world = World(shape, coral, 0.0)
    hedge, last = world.forecast(Moment(0.0)).hedge, coral.last
    head_s, head_var = world.head.times()
    head_j, _ = world.head.energies()
    for at, (cut, _) in enumerate((*PAIRS, *PAIRS), 1):
        assert hedge.seconds[at] == pytest.approx(head_s[last] - head_s[cut])
        assert hedge.spread_s[at] == pytest.approx(head_var[last] ** 0.5 - head_var[cut] ** 0.5)
        assert hedge.joules[at] == pytest.approx(head_j[last] - head_j[cut])
    assert hedge.seconds[0] == inf


def test_a_head_that_seems_longer_than_the_whole_leaves_a_rest_of_no_time(
        shape: NetworkShape, coral: DeviceProfile) -> None:
    world = World(shape, coral, 0.0)
    for _ in range(300):  # a deviation that is the cut's own
        world.head.observe(16, 1.3 * float(coral.head_s[16]))
        for cut in (3, 10, 14):
            world.head.observe(cut, float(coral.head_s[cut]))
    assert world.head.times()[0][16] > world.head.times()[0][-1]
    hedge = world.forecast(Moment(0.0)).hedge
    assert hedge.seconds[6] == 0.0 and hedge.seconds[5] > 0.0
    assert min(hedge.spread_s) >= 0.0 and min(hedge.joules) >= 0.0


def test_what_is_measured_later_counts_in_the_next_forecast(shape: NetworkShape,
                                                            coral: DeviceProfile) -> None:
    world, pair = World(shape, coral, 0.0), (3, 'lossy:4')
    world.forecaster = Forecaster(coral, world.head, world.sizes, (*PAIRS, pair))
    before = world.forecast(Moment(0.0))
    assert before.guessed.tolist() == [False, *[*[False] * len(PAIRS), True] * 2]
    assert np.isnan(before.agreement[-1])
    world.sizes.observe(*pair, 9000, 0.01)
    assert not world.forecast(Moment(0.0)).guessed.any()
    world.sizes.set(*pair, nbytes=9000, encode_s=0.01, agreement=0.97)
    assert world.forecast(Moment(0.0)).agreement[-1] == 0.97
    del world.routes[0]
    one = world.forecaster.forecast(world.routes, [True], (0.0, 0.0), Moment(0.0))
    assert len(one.options) == len(one.agreement) == len(PAIRS) + 2
    assert {one.options[at].server for at in range(1, len(one.options))} == {'/far'}


def test_a_network_that_does_not_fit_has_no_rest_on_board_and_its_deep_cuts_are_not_usable(
        shape: NetworkShape, pi: DeviceProfile) -> None:
    found = World(shape, pi, 0.0).forecast(Moment(0.0))
    assert found.hedge is None
    fits = [pi.cuts[cut].fits for cut, _ in PAIRS]
    assert found.usable.tolist() == [False, *fits, *fits] and not all(fits) and any(fits)
    assert np.isfinite(found.latency_s[found.usable]).all()


def test_spread_of_a_tail_is_that_of_its_measurements_or_of_the_guess(shape: NetworkShape) -> None:
    load = ServerEstimator(shape)
    times_s, variance = load.tails()
    np.testing.assert_allclose(variance, (0.5 * times_s) ** 2)
    load.observe(0.0, 6, wait_s=0.0, decode_s=0.0, tail_s=0.24)
    times_s, variance = load.tails()
    assert times_s[6] == pytest.approx(0.24)
    assert variance[6] == pytest.approx((0.1 * 0.24) ** 2)
    assert variance[7] == pytest.approx((0.5 * times_s[7]) ** 2)
