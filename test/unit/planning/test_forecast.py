"""The forecast against a plain loop over the options, term by term."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.forecast import Forecast, Forecaster
from offload_perception.planning.link import MESSAGE_BYTES, LinkEstimate
from offload_perception.planning.route import Route, ServerReport
from offload_perception.planning.sizes import SizeTable
from offload_perception.profiles.device_profile import DeviceProfile, Radio

PAIRS = ((0, 'raw'), (0, 'jpeg:90'), (3, 'raw'), (6, 'auto'), (14, 'lossy:4'), (16, 'auto'))
SPREAD = 0.05  # of the links, relative
LINKS = {'/near': (2e5, 0.01), '/far': (3e4, 0.08)}


class World:
    """A drone with two servers, each term of a size that counts."""

    def __init__(self, shape: NetworkShape, profile: DeviceProfile) -> None:
        radio = Radio(sending_w=1.3, j_per_byte=2e-6, tail_w=0.7, tail_s=0.4)
        self.profile = profile = replace(profile, radio=radio)
        self.sizes = SizeTable(shape)
        for cut, codec in PAIRS:  # sizes and times that were really met, with spreads
            for nbytes in (4000.0 + 500 * cut, 5000.0 + 500 * cut, 3500.0 + 500 * cut):
                self.sizes.observe(cut, codec, nbytes, 0.01 + 1e-6 * nbytes)
        self.forecaster = Forecaster(profile, self.sizes, PAIRS)
        for factor in (1.2, 1.3, 1.1):
            self.forecaster.head.observe(6, factor * float(profile.head_s[6]))
            self.forecaster.energy.observe(1.1 * factor)
            self.forecaster.radio.observe(0.8 * factor)
            self.forecaster.overhead.observe(0.004 * factor)
        self.routes = [self._route(shape, name) for name in LINKS]

    def _route(self, shape: NetworkShape, name: str) -> Route:
        route = Route(name, shape, LinkEstimate(*LINKS[name], spread=SPREAD))
        tails_s = tuple(0.3 - 0.01 * cut for cut in range(shape.last))
        route.report(0.0, ServerReport(name, 0.02 if name == '/near' else 0.07, tails_s))
        route.observe_reply(0.0, 6, wait_s=0.03, decode_s=0.005, tail_s=0.24,
                            expected_wait_s=0.01)
        return route

    def forecast(self, waited_s: float = 0.0, period_s: float = inf) -> Forecast:
        return self.forecaster.forecast(self.routes, 0.0, waited_s, period_s)

    def expected(self, waited_s: float, period_s: float) -> list[tuple[float, ...]]:
        """Return s, s^2, J, J^2, the worker's s and the link's s of each option, term by term."""
        f, p, last = self.forecaster, self.profile, self.profile.last
        head_s, head_var = f.head.times()
        head_j = p.head_j * f.energy.level
        head_j_var = ((p.head_spread_j * f.energy.level) ** 2
                      + (head_j * f.energy.noise) ** 2)
        ready_s = f.overhead.level + waited_s
        ready_var = (f.overhead.level * f.overhead.spread) ** 2
        rows: list[tuple[float, ...]] = [(
            ready_s + head_s[last], ready_var + head_var[last], head_j[last], head_j_var[last],
            head_s[last], 0.0)]
        for route in self.routes:
            bandwidth, round_trip_s = LINKS[route.server]
            wait_s, wait_sd = route.wait(0.0)
            tails_s, tails_var = route.tails()
            for cut, codec in PAIRS:
                n, n_sd, encode_s, encode_sd, _ = self.sizes.column(cut, codec)
                sending_s = (n + MESSAGE_BYTES) / bandwidth
                # Two errors of the link's parameters, and noise on the whole: all relative.
                link_var = (SPREAD ** 2 * (round_trip_s ** 2 + sending_s ** 2
                                           + (round_trip_s + sending_s) ** 2)
                            + (n_sd / bandwidth) ** 2)
                tail_j = p.radio.tail_w * min(p.radio.tail_s, max(period_s - sending_s, 0.0))
                rows.append((
                    ready_s + head_s[cut] + encode_s + round_trip_s + sending_s + wait_s
                    + tails_s[cut],
                    ready_var + head_var[cut] + encode_sd ** 2 + link_var + wait_sd ** 2
                    + tails_var[cut],
                    head_j[cut] + p.active_w * encode_s + f.radio.level * (
                        p.radio.sending_w * sending_s
                        + p.radio.j_per_byte * (n + MESSAGE_BYTES) + tail_j),
                    head_j_var[cut] + (p.active_w * encode_sd) ** 2
                    + p.radio.sending_w ** 2 * link_var, head_s[cut], sending_s))
        return rows


@pytest.mark.parametrize(('waited_s', 'period_s'), [(0.0, inf), (0.03, inf), (0.0, 0.3)])
def test_each_option_costs_what_its_terms_add_up_to(shape: NetworkShape, coral: DeviceProfile,
                                                    waited_s: float, period_s: float) -> None:
    world = World(shape, coral)
    found = world.forecast(waited_s, period_s)
    time_s, time_var, energy_j, energy_var, head_s, sending_s = np.array(
        world.expected(waited_s, period_s)).T
    np.testing.assert_allclose(found.latency_s, time_s)
    np.testing.assert_allclose(found.latency_spread_s, np.sqrt(time_var))
    np.testing.assert_allclose(found.energy_j, energy_j)
    np.testing.assert_allclose(found.energy_spread_j, np.sqrt(energy_var))
    np.testing.assert_allclose(found.head_s, head_s)
    np.testing.assert_allclose(found.sending_s, sending_s)


def test_every_term_counts(shape: NetworkShape, coral: DeviceProfile) -> None:
    """Were one of them nothing, the test above would not see it go."""
    world = World(shape, coral)
    table = np.array([world.sizes.column(*pair)[:4] for pair in PAIRS])
    assert (table > 0).all()
    for route in world.routes:
        assert min(route.wait(0.0)) > 0 and (route.tails()[1] > 0).all()
        assert (route.tails()[0][[cut for cut, _ in PAIRS]] > 0.1).all()
    assert world.forecaster.overhead.level > 0.003 and world.forecaster.radio.level != 1.0
    assert world.profile.active_w * table[:, 2].min() > 0.005
    assert (world.forecaster.head.times()[1][1:] > 0).all()


def test_the_rest_on_board_is_the_whole_without_the_head(shape: NetworkShape,
                                                         coral: DeviceProfile) -> None:
    world = World(shape, coral)
    hedge, last = world.forecast().hedge, coral.last
    assert hedge is not None
    head_s, head_var = world.forecaster.head.times()
    head_j = coral.head_j * world.forecaster.energy.level
    for at, (cut, _) in enumerate((*PAIRS, *PAIRS), 1):
        rest_s = head_s[last] - head_s[cut]
        assert hedge.seconds[at] == pytest.approx(rest_s)
        assert hedge.spread_s[at] == pytest.approx(rest_s * head_var[last] ** 0.5 / head_s[last])
        assert hedge.joules[at] == pytest.approx(head_j[last] - head_j[cut])
    assert hedge.seconds[0] == inf


def test_a_head_that_seems_longer_than_the_whole_leaves_a_rest_of_no_time(
        shape: NetworkShape, coral: DeviceProfile) -> None:
    world = World(shape, coral)
    for _ in range(30):
        world.forecaster.head.observe(14, float(coral.head_s[14]))
        world.forecaster.head.observe(16, 1.5 * float(coral.head_s[16]))
        world.forecaster.head.observe(17, float(coral.head_s[17]))
    hedge = world.forecast().hedge
    assert hedge is not None and hedge.seconds[6] == 0.0 and hedge.seconds[5] > 0.0
    assert min(hedge.spread_s) >= 0.0 and min(hedge.joules) >= 0.0


def test_what_is_measured_later_counts_in_the_next_forecast(shape: NetworkShape,
                                                            coral: DeviceProfile) -> None:
    world, pair = World(shape, coral), (3, 'lossy:4')
    world.forecaster = Forecaster(coral, world.sizes, (*PAIRS, pair))
    assert np.isnan(world.forecast().agreement[-1])
    world.sizes.set(*pair, nbytes=9000, encode_s=0.01, agreement=0.97)
    assert world.forecast().agreement[-1] == 0.97
    del world.routes[0]
    one = world.forecast()
    assert len(one.options) == len(one.agreement) == len(PAIRS) + 2
    assert {one.options[at].server for at in range(1, len(one.options))} == {'/far'}


def test_a_network_that_does_not_fit_has_no_rest_on_board_and_its_deep_cuts_are_not_usable(
        shape: NetworkShape, pi: DeviceProfile) -> None:
    found = World(shape, pi).forecast()
    assert found.hedge is None
    fits = [pi.cuts[cut].fits for cut, _ in PAIRS]
    assert found.usable.tolist() == [False, *fits, *fits] and not all(fits) and any(fits)
    assert np.isfinite(found.latency_s[found.usable]).all()


def test_a_server_that_missed_a_reply_may_miss_another(shape: NetworkShape,
                                                       coral: DeviceProfile) -> None:
    world = World(shape, coral)
    world.routes[1].observe_miss()
    count = len(PAIRS)
    assert world.forecast().unanswered.tolist() == [0.0] * (1 + count) + [0.5] * count
