import pytest

from offload_perception.errors import ConfigError
from offload_perception.serving.replicas import Replicas


@pytest.mark.parametrize(('text', 'least', 'most'), [
    ('2', 2, 2), ('1-4', 1, 4), (' 3 ', 3, 3), ('256', 256, 256)])
def test_replicas_are_a_number_or_a_range(text: str, least: int, most: int) -> None:
    assert Replicas.of(text) == Replicas(least, most)
    assert str(Replicas.of(text)) == text.strip()


@pytest.mark.parametrize('text', ['', '0', '4-1', '-1', '1-', '1-2-3', 'two', '1.5', '257', '0-2'])
def test_another_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match='1-4'):
        Replicas.of(text)
