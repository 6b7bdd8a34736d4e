from itertools import pairwise
from math import nan
from typing import Any

import pytest

from offload_perception.planning.beat import BeatWatch
from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.forecast import Route
from offload_perception.planning.link import LinkEstimator
from offload_perception.planning.probing import Probe, Prober
from offload_perception.planning.route_watch import RouteWatch
from offload_perception.profiles.device_profile import Radio

SERVER, BANDWIDTH, ROUND_TRIP_S = '/server', 1e5, 0.01
RADIO = Radio(sending_w=1.0, j_per_byte=1e-5)
J_PER_BYTE = 2e-5  # at that bandwidth
SMALL, LARGE = 64, 1000  # bytes; a large probe takes as long as the round trip
LAST = 19


def seconds(nbytes: int, bandwidth: float = BANDWIDTH) -> float:
    return ROUND_TRIP_S + nbytes / bandwidth


def link_known_by(*sizes: int, bandwidth: float = BANDWIDTH, spread: float = 0.3) -> LinkEstimator:
    """Return what frames of those sizes teach until 0 s."""
    link = LinkEstimator.known(bandwidth, ROUND_TRIP_S, spread)
    for i in range(40 if sizes else 0):
        nbytes = sizes[i % len(sizes)]
        link.observe(-0.01 * (39 - i), nbytes, seconds(nbytes, bandwidth))
    return link


def clear_link(bandwidth: float = BANDWIDTH) -> LinkEstimator:
    return link_known_by(64, 100_000, bandwidth=bandwidth)


def beats(late: int = 0, *, late_s: float = 0.1, judged: int = 0) -> BeatWatch:
    """Return a watch that has just heard many beats in time, and then `late` ones, until 0 s."""
    watch = BeatWatch()
    for _ in range(judged):
        watch.judge(right=True)
    for i in range(200):
        sent_s = 0.1 * (i - 200 - late)
        watch.observe(sent_s, 500.0 + sent_s, 0.1)
    for i in range(late):
        sent_s = 0.1 * (i - late)
        watch.observe(sent_s + late_s, 500.0 + sent_s, 0.1)
    return watch


def on_board(energy_j: float = 1.0, runner_up_energy_j: float = nan) -> Decision:
    return Decision(Option(LAST), 0.1, 0.0, energy_j, 0.0, 3.0, True, '',
                    runner_up_energy_j=runner_up_energy_j)


def sent_to(server: str) -> Decision:
    return Decision(Option(0, 'auto', server), 0.1, 0.0, 1.0, 0.0, 3.0, True, '')


class Flight:
    """Asks a prober for probes of one route."""

    def __init__(self, link: LinkEstimator | None = None, heard: BeatWatch | None = None, *,
                 allowance_j: float = 1.0) -> None:
        load: Any = None  # probing asks nothing about the server's load
        self.route = Route(SERVER, link or clear_link(), load, heard or BeatWatch())
        self.watch, self.prober = RouteWatch(), Prober(RADIO, allowance_j)

    def probe(self, now_s: float = 0.1, decision: Decision | None = None,
              drawn_j: float = 0.0) -> Probe | None:
        return self.prober.next(self.route, self.watch, decision or on_board(), now_s, drawn_j)

    def nbytes(self, *args: Any, **kwargs: Any) -> int:
        """Return the size of the probe, 0 for none."""
        probe = self.probe(*args, **kwargs)
        return probe.nbytes if probe else 0

    def answer(self, now_s: float, nbytes: int = SMALL, times: int = 1) -> None:
        for _ in range(times):
            self.route.link.observe(now_s, nbytes, seconds(nbytes))

    def change(self, now_s: float) -> None:
        """Let the link change, and be settled again."""
        self.route.link.forget()
        for nbytes in (64, 100_000, 64, 100_000):
            self.answer(now_s, nbytes)

    def gaps(self, start_s: float, stop_s: float, drawn_j: float = 1e6) -> list[float]:
        """Return the times between probes that are requested often."""
        ticks = [i / 64 for i in range(int(64 * start_s), int(64 * stop_s))]
        times = []
        for now_s in ticks:
            if self.probe(now_s, drawn_j=drawn_j):
                times.append(now_s)
        return [b - a for a, b in pairwise(times)]


@pytest.mark.parametrize('decision', [on_board(), sent_to(SERVER)])
def test_lost_route_is_probed_whatever_it_costs(decision: Decision) -> None:
    flight = Flight(heard=beats(3, judged=6), allowance_j=0.0)
    flight.watch.lose()
    probe = flight.probe(0.1, decision)
    assert (probe.server, probe.nbytes) == (SERVER, SMALL)
    assert probe.energy_j == flight.prober.spent_j == pytest.approx(SMALL * J_PER_BYTE)
    flight.watch.observe_answer()
    assert flight.nbytes(1.1, decision) == pytest.approx(LARGE, rel=0.01)


@pytest.mark.parametrize('sizes, server, allowance_j, expected', [
    ((100_000,), SERVER, 1.0, SMALL), ((64, 100_000), SERVER, 1.0, 0),
    ((64,), SERVER, 1.0, 0), ((100_000,), '/other', 1.0, 0), ((100_000,), SERVER, 1e-4, 0)])
def test_frames_on_the_link_leave_only_the_round_trip_to_ask_for(
        sizes: tuple[int, ...], server: str, allowance_j: float, expected: int) -> None:
    flight = Flight(link_known_by(*sizes), allowance_j=allowance_j)
    assert flight.nbytes(0.1, sent_to(server)) == expected


def test_suspect_route_is_probed_though_the_last_frame_was_sent() -> None:
    flight = Flight()
    assert flight.nbytes(0.1, sent_to(SERVER)) == 0
    flight.watch.observe_miss()
    assert flight.nbytes(0.1, sent_to(SERVER)) == SMALL


@pytest.mark.parametrize('sizes, allowance_j, expected', [
    ((64, 100_000), 1.0, [SMALL, SMALL]), ((100_000,), 1.0, [SMALL, SMALL]),
    ((64,), 1.0, [LARGE, LARGE]), ((64,), 0.01, [SMALL, SMALL]), ((64,), 1e-4, [0, 0]),
    ((), 1.0, [SMALL, SMALL])])
def test_bandwidth_is_asked_for_where_it_is_unclear(sizes: tuple[int, ...], allowance_j: float,
                                                    expected: list[int]) -> None:
    flight = Flight(link_known_by(*sizes), allowance_j=allowance_j)
    assert [flight.nbytes(0.1), flight.nbytes(1.2)] == pytest.approx(expected, rel=0.05)


def test_large_and_small_probes_take_turns_where_all_is_unclear() -> None:
    flight = Flight(link_known_by(1000, spread=1.0))
    sizes = [flight.nbytes(0.1 + 0.5 * i) for i in range(4)]
    assert sizes[1::2] == [SMALL, SMALL]
    assert sizes[::2] == pytest.approx([LARGE, LARGE], rel=0.05)


@pytest.mark.parametrize('bandwidth, expected', [(1e4, 256), (2e5, 2000), (1e6, 4096)])
def test_large_probe_takes_a_round_trip_within_limits(bandwidth: float, expected: int) -> None:
    flight = Flight(clear_link(bandwidth))
    probe = flight.probe(0.5, on_board(1.0, 1.2))
    assert probe.nbytes == pytest.approx(expected, rel=0.01)
    assert probe.energy_j == pytest.approx(probe.nbytes * (1.0 / bandwidth + 1e-5), rel=0.01)


@pytest.mark.parametrize('runner_up_energy_j, now_s, allowance_j, expected', [
    (1.45, 0.45, 1.0, LARGE), (1.55, 0.45, 1.0, SMALL), (1.45, 0.35, 1.0, SMALL),
    (1.45, 0.45, 0.01, 0)])
def test_choice_that_is_a_near_thing_is_worth_a_large_probe(runner_up_energy_j: float,
                                                            now_s: float, allowance_j: float,
                                                            expected: int) -> None:
    flight = Flight(allowance_j=allowance_j)
    assert flight.nbytes(now_s, on_board(2.0, 2.0 * runner_up_energy_j)) == pytest.approx(
        expected, rel=0.01)


def test_probes_cost_a_share_of_what_frames_draw() -> None:
    flight, probed = Flight(allowance_j=0.0), []
    for i in range(1000):
        flight.answer(0.1 * i)
        if flight.probe(0.1 * i, drawn_j=0.01 * i):
            probed.append(i)
        assert flight.prober.spent_j <= 0.01 * 0.01 * i + 1e-9
    assert probed[0] == 13  # the first 0.128 J pay for 64 bytes
    assert flight.prober.count == len(probed)
    assert flight.prober.spent_j > 0.95 * 0.01 * 0.01 * 999


def test_energy_counter_that_starts_again_takes_nothing_away() -> None:
    flight = Flight(allowance_j=0.0)
    assert flight.probe(0.1, drawn_j=0.1) is None
    assert flight.probe(0.2, drawn_j=0.0) is None
    assert flight.probe(0.3, drawn_j=0.05)
    assert Flight(allowance_j=0.0).probe(0.1, drawn_j=0.2)


def affordable(flight: Flight, start_s: float) -> int:
    """Return how many probes are sent in 10 s in which frames draw nothing."""
    count = flight.prober.count
    for i in range(100):
        flight.answer(start_s + 0.1 * i)
        flight.probe(start_s + 0.1 * i)
    return flight.prober.count - count


def test_change_of_the_link_brings_one_full_allowance() -> None:
    flight = Flight(allowance_j=3.5 * SMALL * J_PER_BYTE)
    assert affordable(flight, 0.1) == 3
    flight.change(10.2)
    assert affordable(flight, 10.3) == 3
    for now_s in (20.4, 20.5):  # an allowance that was not used is not kept
        flight.change(now_s)
        flight.probe(now_s, sent_to('/other'))
    assert affordable(flight, 20.6) == 3


@pytest.mark.parametrize('changed', [False, True])
def test_loss_of_the_route_brings_an_allowance(changed: bool) -> None:
    flight = Flight(allowance_j=3.5 * SMALL * J_PER_BYTE)
    affordable(flight, 0.1)
    if changed:
        flight.change(10.1)
    flight.watch.lose()
    flight.watch.observe_answer()
    flight.watch.observe_answer()
    assert affordable(flight, 10.2) == 3


@pytest.mark.parametrize('cost, expected', [(0.0, 1), (0.5, 0), (2.0, 0)])
def test_probe_that_cost_less_than_feared_leaves_energy_for_others(
        cost: float, expected: int) -> None:
    flight = Flight(allowance_j=1.4 * SMALL * J_PER_BYTE)
    probe = flight.probe(0.1)
    assert probe is not None
    flight.prober.correct_cost(probe, cost * probe.energy_j)
    assert flight.prober.spent_j == pytest.approx(min(cost, 1.0) * probe.energy_j)
    assert affordable(flight, 0.2) == expected


def test_probe_beyond_the_budget_leaves_no_energy_for_others() -> None:
    flight = Flight(allowance_j=0.0)
    flight.watch.observe_miss()
    flight.watch.observe_miss()
    probe = flight.probe(0.1)
    assert probe is not None
    flight.watch.observe_answer()
    flight.watch.observe_answer()
    flight.prober.correct_cost(probe, 0.0)
    assert affordable(flight, 0.2) == 0


@pytest.mark.parametrize('late, judged, probed', [
    (1, 0, True), (2, 0, True), (1, 6, True), (2, 6, False), (9, 6, False), (10, 6, True)])
def test_link_whose_beats_are_late_for_a_moment_is_left_alone(
        late: int, judged: int, probed: bool) -> None:
    flight = Flight(heard=beats(late, judged=judged))
    assert bool(flight.probe(0.0)) is probed


@pytest.mark.parametrize('late, judged', [(2, 0), (10, 6)])
def test_doubt_by_late_beats_sends_a_large_probe_for_the_slowed_link(
        late: int, judged: int) -> None:
    flight = Flight(heard=beats(late, late_s=0.0065, judged=judged), allowance_j=0.0)
    slowdown = flight.route.beats.slowdown(-0.08, flight.route.link.s_per_byte)
    probe = flight.probe(-0.08)
    assert 1.5 < slowdown < 4.5
    assert probe.nbytes == pytest.approx(max(LARGE / slowdown, 256), rel=0.01)
    assert probe.energy_j == pytest.approx(probe.nbytes * (1e-5 * slowdown + 1e-5), rel=0.01)


def test_doubt_by_a_frame_sends_a_large_probe_whatever_it_costs() -> None:
    flight = Flight(allowance_j=0.0)
    link = flight.route.link
    assert flight.probe(0.1) is None
    link.observe(0.1, 8000, 1.0)
    assert link.in_doubt
    assert flight.nbytes(0.2) == pytest.approx(link.round_trip_s * link.bandwidth, abs=1.0)


def test_silence_is_broken_by_a_small_probe_whatever_it_costs() -> None:
    flight = Flight(link_known_by(64), allowance_j=0.0)
    assert flight.probe(2.9) is None
    assert flight.nbytes(3.1) == SMALL
    assert Flight(link_known_by(), allowance_j=0.0).nbytes(0.1) == SMALL


def test_probes_are_frequent_after_a_change_and_rare_later() -> None:
    flight = Flight()
    for start_s in (0.0, 20.0):
        gaps = flight.gaps(start_s, start_s + 10.0)
        assert gaps[:3] == [0.25] * 3
        assert gaps == sorted(gaps) and gaps[-3:] == [1.0] * 3
        assert 0.3 < gaps[4] < 0.7  # 0.3 of the time since
        flight.change(start_s + 19.9)


def test_change_is_followed_by_a_probe_at_once() -> None:
    flight = Flight()
    assert flight.gaps(0.0, 20.0)[-1] == 1.0
    assert flight.probe(25.0) and not flight.probe(25.3)
    flight.change(25.3)
    assert flight.probe(25.3)


@pytest.mark.parametrize('doubted', ['link', 'route', 'beats'])
def test_probes_are_most_frequent_in_doubt(doubted: str) -> None:
    flight = Flight(heard=beats(2 if doubted == 'beats' else 0))
    if doubted == 'link':
        flight.route.link.observe(0.0, 8000, 1.0)
    if doubted == 'route':
        flight.watch.observe_miss()
    assert flight.gaps(0.0, 1.5) == [pytest.approx(0.1, abs=0.02)] * 13


def test_clock_that_went_back_starts_the_times_again() -> None:
    flight = Flight()
    assert flight.gaps(50.0, 60.0)[-1] == 1.0
    assert flight.gaps(1.0, 3.0)[:3] == [0.25] * 3


@pytest.mark.parametrize('late', [0, 1])
def test_probe_tells_whether_beats_warn(late: int) -> None:
    assert Flight(heard=beats(late)).probe(0.0).warned is bool(late)
