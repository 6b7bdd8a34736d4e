"""Values from outside: what passes is in range, printable and bounded, whatever comes."""

import math
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import IncomingError, ModelError, OffloadError
from offload_perception.incoming import (
    age_s,
    bounded,
    check,
    each,
    identifier,
    inside,
    member,
    number,
    text,
)


class Colour(IntEnum):
    RED = 0
    BLUE = 4


@given(st.text(st.characters(), max_size=500), st.integers(1, 100))
def test_any_text_becomes_printable_and_short(value: str, limit: int) -> None:
    shown = text(value, limit)
    assert shown.isprintable() and len(shown) <= limit
    shown.encode()  # no lone surrogate is left
    assert text(shown, limit) == shown


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=50))
def test_a_plain_text_is_left_alone(value: str) -> None:
    assert text(value) == identifier('name', value) == value


def test_a_terminal_escape_is_reported_and_not_obeyed() -> None:
    assert text('\x1b[2Jgone\nnext') == r'\x1b[2Jgone\nnext'
    assert text('abcdef', 4) == 'abc…'


@pytest.mark.parametrize('kind', [OffloadError, IncomingError, ModelError])
def test_an_error_quotes_a_file_without_obeying_it(kind: type[OffloadError]) -> None:
    try:
        TypeError(**{'\x1b[2J': 1})
    except TypeError as e:
        said = str(kind(f'no manifest ({e}\n\u202e)'))
    assert said.isprintable() and '\\n\\u202e' in said
    assert str(kind('plain')) == 'plain' and not str(kind())


def test_a_huge_text_costs_no_more_than_its_bound() -> None:
    assert len(text('\x1b' * 100_000_000)) == 200


@given(st.floats(), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_number_that_passes_is_in_its_range(value: float, low: float, high: float) -> None:
    try:
        assert low <= number('x', value, low, high) <= high
    except IncomingError as e:
        assert not low <= value <= high
        assert str(e).startswith('x is ')


def test_only_a_range_without_an_end_takes_infinity_and_only_unknown_takes_nan() -> None:
    assert number('x', math.inf, 0.0) == math.inf
    assert math.isnan(number('x', math.nan, 0.0, 1.0, unknown=True))
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(IncomingError, match=r'x is -?(nan|inf), not in 0 .. 1e'):
            number('x', value, 0.0, 1e6)


@pytest.mark.parametrize('value', [10 ** 400, -10 ** 4000, '3', None, [1.0] * 1000],
                         ids=['long', 'very long', 'text', 'none', 'list'])
def test_what_is_no_number_is_refused_in_a_few_words(value: Any) -> None:
    with pytest.raises(IncomingError, match=r'x is .*, not in 0 .. 1') as e:
        number('x', value, 0.0, 1.0, unknown=True)
    assert len(str(e.value)) < 80


@given(st.integers(0, 255))
def test_an_enumeration_has_its_members_alone(value: int) -> None:
    if value in (0, 4):
        assert member('colour', value, Colour) is Colour(value)
        return
    with pytest.raises(IncomingError, match=rf'colour is {value}, .* 0 \(RED\), 4 \(BLUE\)'):
        member('colour', value, Colour)


@pytest.mark.parametrize('value', ['x' * 201, 'a\x1b[2J', 'a\nb', '\ud800'])
def test_a_name_is_refused_rather_than_changed_and_the_refusal_is_printable(value: str) -> None:
    with pytest.raises(IncomingError) as e:
        identifier('drone', value)
    assert str(e.value).isprintable() and len(str(e.value)) < 150


def test_a_list_is_bounded_before_its_elements_are_looked_at() -> None:
    assert bounded('ids', [1, 2], 2) == [1, 2]
    with pytest.raises(IncomingError, match='ids has 1000000000 elements, more than 8'):
        each(number, 8)('ids', range(1_000_000_000))


def test_a_message_is_checked_field_by_field_and_nested_ones_by_their_path() -> None:
    rules = {'reason': lambda _, v: text(v), 'pose': inside({'x': number}),
             'labels': each(lambda _, v: text(v, 3), 2)}
    labels = ['abc']
    m = SimpleNamespace(reason='a\n', pose=SimpleNamespace(x=1.0), labels=labels, other='\n')
    assert check(m, rules) is m
    assert (m.reason, m.other) == (r'a\n', '\n')
    assert m.labels is labels  # nothing to change: the message's own list
    m.labels = ['abcd', 'e']
    assert check(m, rules).labels == ['ab…', 'e']
    m.pose.x = math.nan
    with pytest.raises(IncomingError, match=r'pose\.x is nan'):
        check(m, rules)


def test_the_age_of_a_message_is_bounded_whatever_the_clock_does() -> None:
    assert age_s(int(5e18), int(5e18) + 30_000_000) == pytest.approx(0.03)
    assert age_s(0, int(5e18)) == 0.0  # not told
    assert age_s(int(5e18), int(4e18)) == 0.0 and age_s(int(4e18), int(5e18)) == 1.0  # set
