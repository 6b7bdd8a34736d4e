from math import nan

import pytest

from offload_perception.pipeline.link_times import LinkTimes


def test_the_server_has_what_the_link_leaves_of_the_time_to_a_deadline() -> None:
    links = LinkTimes()
    assert links.left_to('/a', 0.2) == 0.2
    for link_s in (0.05, 0.03, nan, 0.08):
        links.observe('/a', link_s)
    links.observe('/b', 0.01)
    assert links.left_to('/a', 0.2) == pytest.approx(0.17)
    assert links.left_to('/b', 0.2) == pytest.approx(0.19)
    assert links.left_to('/a', 0.02) == pytest.approx(0.002)  # the link may have become faster
    assert links.left_to('/a', -0.1) == -0.1
    for _ in range(8):
        links.observe('/a', 0.1)
    assert links.left_to('/a', 0.2) == pytest.approx(0.1)  # older ones are forgotten
