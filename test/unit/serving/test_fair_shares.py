import pytest

from offload_perception.errors import ConfigError
from offload_perception.serving.fair_shares import ACTIVE_S, KNOWN_S, Shares, weights_of
from offload_perception.serving.senders import MAX_SENDERS


def credit_s(shares: Shares, drone: str, now_s: float) -> float:
    return shares.credits_s((drone,), now_s)[drone]


def known(shares: Shares, *drones: str, now_s: float = 0.0) -> None:
    """Have drones heard of for long enough to be known."""
    for at_s in (now_s - KNOWN_S, now_s):
        for drone in drones:
            shares.hear(drone, at_s)


def test_each_drone_earns_its_share_of_the_time() -> None:
    shares = Shares({'/a': 3.0})
    known(shares, '/a/edge', '/b/edge')
    for drone in ('/a/edge', '/b/edge'):
        shares.pay(drone, 100.0, 0.0)
        assert credit_s(shares, drone, 0.0) == -ACTIVE_S  # nobody owes more
    assert credit_s(shares, '/a/edge', 1.0) == pytest.approx(-ACTIVE_S + 0.75)
    assert credit_s(shares, '/b/edge', 1.0) == pytest.approx(-ACTIVE_S + 0.25)


def test_who_is_silent_takes_no_share_and_saves_up_little() -> None:
    shares = Shares()
    known(shares, '/a/edge', '/b/edge')
    shares.hear('/b/edge', 100.0)
    assert credit_s(shares, '/b/edge', 100.0) == pytest.approx(ACTIVE_S)
    shares.pay('/b/edge', 2.0, 100.0)
    assert credit_s(shares, '/b/edge', 101.0) == pytest.approx(ACTIVE_S - 1.0)


def test_forged_names_take_no_memory_and_displace_no_known_drone() -> None:
    shares = Shares()
    known(shares, '/a/edge')
    for n in range(3 * MAX_SENDERS):
        shares.hear(f'/drone{n}/edge', 0.1)
    assert len(shares._newcomers) == MAX_SENDERS and list(shares._accounts) == ['/a/edge']
    assert credit_s(shares, '/a/edge', 0.1) == pytest.approx(ACTIVE_S)  # nor take they a share


def test_a_newcomer_has_credit_once_it_is_known() -> None:
    shares = Shares()
    shares.hear('/a/edge', 0.0)
    shares.hear('/a/edge', 0.9 * KNOWN_S)
    shares.pay('/a/edge', 1.0, 0.1)  # for nothing: it has none to pay with
    assert credit_s(shares, '/a/edge', 0.1) == 0.0 and not shares.is_known('/a/edge')
    shares.hear('/a/edge', KNOWN_S)
    assert credit_s(shares, '/a/edge', KNOWN_S) == ACTIVE_S and shares.is_known('/a/edge')


def test_known_drones_are_bounded_too() -> None:
    shares = Shares()
    for n in range(2 * MAX_SENDERS):
        known(shares, f'/drone{n}/edge')
    assert len(shares._accounts) == MAX_SENDERS and not shares.is_known('/drone0/edge')


def test_weights_are_read_and_checked() -> None:
    assert weights_of('') == {}
    assert weights_of(' /a:2, /b/c/:0.5 ') == {'/a': 2.0, '/b/c': 0.5}
    for wrong in ('/a', 'a:2', '/a:x', '/a:nan', '/a:0', '/a:1e9', '/a:-1'):
        with pytest.raises(ConfigError, match='NAMESPACE:WEIGHT'):
            weights_of(wrong)
