import pytest

from offload_perception.imaging.listening import Listening, choose, fixed

RAW, RAW_LOSSY = Listening(False, True), Listening(False, False)
JPEG, JPEG_LOSSY = Listening(True, True), Listening(True, False)


@pytest.mark.parametrize(('raw', 'compressed', 'chosen'), [
    ([True], [], RAW), ([True], [True], RAW), ([], [True], JPEG), ([False], [True], RAW_LOSSY),
    ([True, False], [], RAW_LOSSY), ([], [False], JPEG_LOSSY), ([True, True], [False], RAW)])
def test_raw_where_it_is_published_and_reliable_where_all_offer_it(
        raw: list[bool], compressed: list[bool], chosen: Listening) -> None:
    for before in (RAW, RAW_LOSSY, JPEG, JPEG_LOSSY):
        assert choose(raw, compressed, before) == chosen


@pytest.mark.parametrize('before', [RAW, RAW_LOSSY, JPEG, JPEG_LOSSY])
def test_without_a_publisher_all_stays_as_it_was(before: Listening) -> None:
    assert choose([], [], before) == before


def test_what_the_user_chose_holds() -> None:
    assert fixed(RAW, 'auto', 'auto') == RAW
    assert fixed(RAW, 'compressed', 'best_effort') == JPEG_LOSSY
    assert fixed(JPEG_LOSSY, 'raw', 'reliable') == RAW
