import pytest

from offload_perception.errors import ConfigError
from offload_perception.serving.fair_shares import ACTIVE_S, Shares, weights_of
from offload_perception.serving.senders import MAX_SENDERS


def credit_s(shares: Shares, drone: str, now_s: float) -> float:
    return shares.credits_s((drone,), now_s)[drone]


def test_each_drone_earns_its_share_of_the_time() -> None:
    shares = Shares({'/a': 3.0})
    for drone in ('/a/edge', '/b/edge'):
        shares.hear(drone, 0.0)
        shares.pay(drone, 100.0, 0.0)
        assert credit_s(shares, drone, 0.0) == -ACTIVE_S  # nobody owes more
    assert credit_s(shares, '/a/edge', 1.0) == pytest.approx(-ACTIVE_S + 0.75)
    assert credit_s(shares, '/b/edge', 1.0) == pytest.approx(-ACTIVE_S + 0.25)


def test_who_is_silent_takes_no_share_and_saves_up_little() -> None:
    shares = Shares()
    shares.hear('/a/edge', 0.0)
    shares.hear('/b/edge', 0.0)
    shares.hear('/b/edge', 100.0)
    assert credit_s(shares, '/b/edge', 100.0) == pytest.approx(ACTIVE_S)
    shares.pay('/b/edge', 2.0, 100.0)
    assert credit_s(shares, '/b/edge', 101.0) == pytest.approx(ACTIVE_S - 1.0)


def test_forged_names_take_no_memory() -> None:
    shares = Shares()
    for n in range(3 * MAX_SENDERS):
        shares.hear(f'/drone{n}/edge', 0.0)
    shares.pay('/drone0/edge', 1.0, 0.0)  # forgotten
    assert credit_s(shares, '/drone0/edge', 0.0) == ACTIVE_S


def test_weights_are_read_and_checked() -> None:
    assert weights_of('') == {}
    assert weights_of(' /a:2, /b/c/:0.5 ') == {'/a': 2.0, '/b/c': 0.5}
    for wrong in ('/a', 'a:2', '/a:x', '/a:nan', '/a:0', '/a:1e9', '/a:-1'):
        with pytest.raises(ConfigError, match='NAMESPACE:WEIGHT'):
            weights_of(wrong)
