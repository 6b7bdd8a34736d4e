import pytest

from offload_perception.bringup.tuning import TUNABLE, parse
from offload_perception.errors import ConfigError


@pytest.mark.parametrize(('name', 'text', 'value'), [
    ('split', 'block3_pool', 'block3_pool'), ('split', '-1', '-1'), ('split', '14', '14'),
    ('codec', 'webp:80', 'webp:80'), ('deadline', '0.5', 0.5), ('deadline', '1', 1.0)])
def test_text_becomes_the_value_of_a_parameter(name: str, text: str, value: float | str) -> None:
    parsed = parse(name, text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(('name', 'text', 'says'), [
    ('model', 'vgg16', 'split, codec, deadline'), ('', '1', 'these can'),
    ('deadline', 'soon', "deadline is 'soon'"), ('deadline', 'nan', '0.0 .. 3600.0'),
    ('deadline', '-1', '0.0 .. 3600.0')])
def test_what_cannot_be_set_is_refused_by_name(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(name, text)


def test_what_the_readme_says_may_change_in_flight() -> None:
    assert list(TUNABLE) == ['split', 'codec', 'deadline']
