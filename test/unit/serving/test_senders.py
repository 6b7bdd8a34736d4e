"""Overwritten messages are counted by gaps in the numbers."""

from hypothesis import given
from hypothesis import strategies as st

from offload_perception.serving.senders import MAX_SENDERS, Senders


def took(*messages: tuple[str, int]) -> Senders:
    senders = Senders()
    for drone, number in messages:
        senders.count(drone, number)
    return senders


@given(st.lists(st.tuples(st.sampled_from('ab'), st.booleans()), max_size=100))
def test_a_gap_in_the_numbers_of_a_drone_is_what_was_lost(sent: list[tuple[str, bool]]) -> None:
    senders, number, came = Senders(), dict.fromkeys('ab', 0), dict.fromkeys('ab', 0)
    for drone, arrives in [('a', True), ('b', True), *sent, ('a', True), ('b', True)]:
        number[drone] += 1
        if arrives:
            came[drone] += 1
            senders.count(drone, number[drone])
    assert senders.lost == sum(number.values()) - sum(came.values())
    assert senders.sent == number


def test_a_drone_that_starts_again_has_lost_nothing() -> None:
    assert took(('a', 1), ('a', 2), ('a', 1), ('a', 2), ('a', 3)).lost == 0


def test_two_publishers_of_one_name_have_numbers_of_their_own() -> None:
    mine = [('a', n) for n in range(500, 600)]
    theirs = [('a', n) for n in range(7, 107)]
    assert took(*(m for pair in zip(mine, theirs, strict=True) for m in pair)).lost == 0


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_numbers_without_sense_count_no_more_than_a_gap_each(numbers: list[int]) -> None:
    assert 0 <= took(*(('a', n) for n in numbers)).lost <= 1000 * len(numbers)


def test_invented_names_do_not_fill_the_memory() -> None:
    senders = took(*((f'/drone{n}', 1) for n in range(10 * MAX_SENDERS)))
    assert len(senders.sent) <= MAX_SENDERS
