"""When a link is probed, with how many bytes, and at which cost."""

from itertools import pairwise
from math import sqrt

import pytest

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.link import MESSAGE_BYTES, LinkEstimate
from offload_perception.planning.probing import Prober
from offload_perception.planning.route import Route, RouteState
from offload_perception.profiles.device_profile import Radio

RADIO = Radio(sending_w=1.0, j_per_byte=1e-5)
BANDWIDTH, ROUND_TRIP_S = 1e5, 0.01
SMALL, LARGE = 32, 700


@pytest.fixture
def route(shape: NetworkShape) -> Route:
    link = LinkEstimate()
    for i in range(60):  # of different sizes, so that all is clear
        nbytes = (100, 5000)[i % 2]
        seconds = ROUND_TRIP_S + (nbytes + MESSAGE_BYTES) / BANDWIDTH
        link.observe(0.2 * (i - 60), nbytes, seconds, 0.2 * (i - 60) - seconds)
    return Route('/server', shape, link)


@pytest.fixture
def prober(route: Route) -> Prober:
    prober = Prober(route, RADIO)
    prober.observe_frames(0.04, 0.1)
    prober.note_used(0.0)
    return prober


def times(prober: Prober, start_s: float, stop_s: float, *, used: bool = False) -> list[float]:
    """Return when probes are sent if it is asked often."""
    sent = []
    for i in range(int((stop_s - start_s) / 0.01)):
        now_s = start_s + 0.01 * i
        if prober.due(now_s, used=used):
            prober.note_sent(now_s)
            sent.append(now_s)
    return sent


def test_a_probe_costs_the_time_of_its_bytes_and_the_bytes(prober: Prober) -> None:
    probe = prober.due(10.0, used=False)
    assert probe and probe.nbytes == SMALL and probe.server == '/server'
    on_air = SMALL + MESSAGE_BYTES
    assert probe.energy_j == pytest.approx(on_air / BANDWIDTH + 1e-5 * on_air, rel=0.1)


def test_a_link_in_use_whose_frames_show_all_is_not_probed(prober: Prober) -> None:
    assert not times(prober, 0.0, 60.0, used=True)


def test_a_link_in_use_whose_frames_have_one_size_is_probed_with_another(
        shape: NetworkShape) -> None:
    link = LinkEstimate()
    for i in range(10):
        link.observe(0.2 * (i - 10), 5000, 0.1, 0.2 * (i - 10) - 0.1)
    prober = Prober(Route('/server', shape, link), RADIO)
    probe = prober.due(1.0, used=True)
    assert probe and probe.nbytes == LARGE


def test_the_period_is_the_one_of_least_loss(prober: Prober) -> None:
    """By brute force: e / T for probes and P T / 2 S for what is noticed late."""
    probe = prober.due(50.0, used=False)
    assert probe is not None
    energy_j = probe.energy_j

    def loss(period_s: float) -> float:
        return energy_j / period_s + 0.5 * 0.4 * period_s / (2 * 50.0)
    best_s = min((0.01 * i for i in range(1, 10_000)), key=loss)
    assert best_s == pytest.approx(sqrt(2 * energy_j * 50.0 / 0.2), rel=0.02)
    prober.note_sent(50.0)
    assert not prober.due(50.0 + 0.97 * best_s, used=False)
    assert prober.due(50.0 + 1.05 * best_s, used=False)


def test_probes_get_rarer_with_the_time_since_a_change(prober: Prober) -> None:
    early, late = times(prober, 0.0, 2.0), times(prober, 100.0, 102.0)
    assert len(early) >= 5 > len(late) >= 1


def test_a_link_that_was_used_again_is_probed_often_again(prober: Prober) -> None:
    assert len(times(prober, 100.0, 102.0)) < 5
    prober.note_used(102.0)
    assert len(times(prober, 102.0, 104.0)) >= 4


def test_what_gets_worse_while_it_is_not_used_is_not_probed_more_often(prober: Prober,
                                                                       route: Route) -> None:
    route.link.observe(100.0, 100, 0.5, 100.0)
    assert route.link.doubtful and len(times(prober, 100.0, 102.0)) < 5


def test_a_server_that_missed_once_is_probed_ten_times_a_second(prober: Prober,
                                                                route: Route) -> None:
    route.observe_miss()
    assert route.state is RouteState.DOUBT
    assert len(times(prober, 100.0, 101.0, used=True)) == 10


def test_a_link_of_which_a_reply_was_much_too_late_is_probed_at_once_though_it_is_in_use(
        prober: Prober, route: Route) -> None:
    route.link.observe(100.0, 100, 0.5, 100.0)
    probe = prober.due(100.0, used=True)
    assert probe and probe.nbytes == SMALL


def test_a_lost_server_is_probed_with_few_bytes_and_rarely_in_the_end(prober: Prober,
                                                                      route: Route) -> None:
    prober.note_used(100.0)
    route.observe_miss()
    route.observe_miss()
    first = times(prober, 100.0, 101.0)
    assert len(first) >= 3
    assert len(times(prober, 300.0, 310.0)) < 10
    probe = prober.due(400.0, used=True)
    assert probe and probe.nbytes == SMALL


def test_news_of_the_link_is_probed_at_once(prober: Prober) -> None:
    prober.note_sent(100.0)
    assert not prober.due(100.01, used=False)
    prober.probe_at_once()
    assert prober.due(100.01, used=False)


def test_a_clock_that_went_back_makes_it_due(prober: Prober) -> None:
    prober.note_sent(1e6)
    assert prober.due(0.0, used=False)


def test_an_unanswered_link_is_probed_less_often(prober: Prober) -> None:
    answered = times(prober, 10.0, 40.0)
    prober.observe_probe(answered=False)
    assert 1 < len(times(prober, 40.0, 70.0)) < len(answered)


def test_no_probe_comes_more_often_than_frames(prober: Prober) -> None:
    prober.observe_frames(1.6, 4.0)
    sent = times(prober, 1.0, 21.0)
    assert all(b - a >= 4.0 - 1e-9 for a, b in pairwise(sent)) and sent
