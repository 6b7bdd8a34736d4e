import pytest

from offload_perception.health.delivery import DeliveryWatch

VGA = 640 * 480 * 3


def watched(numbers: list[int | None] | range, nbytes: int = VGA, reliable: bool = False,
            offered: bool = False) -> tuple[tuple[int, int], str]:
    watch = DeliveryWatch()
    for number in numbers:
        watch.observe(number, nbytes)
    return watch.lost, ' '.join(f.text for f in watch.findings(
        '/drone1/cam', reliable=reliable, offered=offered))


def test_a_camera_whose_images_all_come_is_well() -> None:
    assert watched(range(7, 37)) == ((0, 30), '')


def test_losses_are_reported_with_size_shared_memory_and_remedy() -> None:
    (lost, sent), text = watched(range(1, 80, 2))
    assert (lost, sent) == (39, 79)
    for part in ('39 of 79 images of 921600 bytes', '/drone1/cam', 'best effort',
                 '524288 bytes of shared memory', 'config/fastdds.xml', 'publish reliably'):
        assert part in text


@pytest.mark.parametrize(('nbytes', 'reliable', 'offered', 'says', 'says_not'), [
    (50_000, False, False, 'it publishes best effort', 'shared memory'),
    (VGA, False, True, 'image_reliability to auto', 'it publishes best effort'),
    (6_220_800, True, True, 'faster than they can be transported', 'publish reliably')])
def test_the_cause_fits_size_and_reliability(nbytes: int, reliable: bool, offered: bool, says: str,
                                             says_not: str) -> None:
    _, text = watched([i * i for i in range(9)], nbytes, reliable, offered)
    assert says in text and says_not not in text


def test_few_images_another_publisher_and_no_numbers_tell_nothing() -> None:
    assert watched([1, 2, 5, 6])[0] == (0, 0)
    assert watched([10, 12, 14, 16, 1, 3, 5])[0] == (0, 0)
    assert watched([None] * 9)[0] == (0, 0)
