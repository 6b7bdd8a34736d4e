"""YAML from outside is plain data, or refused before it takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import IncomingError
from offload_perception.yaml_text import MOST_CHARACTERS, from_yaml


def test_plain_data_are_read() -> None:
    assert from_yaml('a: [1, 2.5, {b: x}]') == {'a': [1, 2.5, {'b': 'x'}]}
    assert from_yaml('[' * 50 + ']' * 50)
    assert from_yaml('a: &x [1]\nb: *x') == {'a': [1], 'b': [1]}


@pytest.mark.parametrize(('written', 'why'), [
    ('x' * (MOST_CHARACTERS + 1), 'characters'), ('[' * 5000, 'no YAML'),
    ('- ' * 3000, 'no YAML'), ('!!timestamp x', 'no YAML'), ('!!int _', 'no YAML'),
    ('!!python/object:os.system x', 'no YAML'), ('\x1b: [', 'no YAML')])
def test_what_cannot_be_read_is_refused_in_a_line(written: str, why: str) -> None:
    with pytest.raises(IncomingError, match=why) as caught:
        from_yaml(written)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@pytest.mark.parametrize('written', ['a: &x {b: *x}', '&x [*x]', 'a: &x [1]\nb: *x'])
def test_aliases_are_refused_where_data_must_end(written: str) -> None:
    assert from_yaml(written)
    with pytest.raises(IncomingError, match='alias'):
        from_yaml(written, aliases=False)


@given(st.text(st.sampled_from('ab1:-?[]{}&*!|>\'"#,. \n\t')) | st.text())
def test_any_text_is_data_or_refused(written: str) -> None:
    try:
        from_yaml(written)
    except IncomingError as e:
        assert str(e).isprintable()
