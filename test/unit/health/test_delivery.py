import random

import pytest

from offload_perception.health.delivery import DeliveryWatch

VGA = 640 * 480 * 3


def watched(stamps_s, nbytes=VGA, reliable=False, offered=False):
    watch = DeliveryWatch()
    for stamp_s in stamps_s:
        watch.arrived(stamp_s, nbytes)
    return watch.lost, ' '.join(f.text for f in watch.findings(
        '/drone1/cam', reliable=reliable, offered=offered))


def test_a_camera_whose_images_all_come_is_well():
    assert watched([0.2 * i for i in range(30)]) == ((0, 29), '')


def test_losses_are_told_with_size_shared_memory_and_remedy():
    rng = random.Random(1)
    (lost, sent), text = watched([0.2 * i + rng.gauss(0, 0.005) for i in range(80)
                                  if rng.random() < 0.5])
    assert 25 <= lost <= 50 and 65 <= sent <= 80
    for part in (f'{lost} of {sent} images of 921600 bytes', '/drone1/cam', 'best effort',
                 '524288 bytes of shared memory', 'config/fastdds.xml', 'publish reliably'):
        assert part in text


@pytest.mark.parametrize(('nbytes', 'reliable', 'offered', 'says', 'says_not'), [
    (50_000, False, False, 'it publishes best effort', 'shared memory'),
    (VGA, False, True, 'image_reliability to auto', 'it publishes best effort'),
    (6_220_800, True, True, 'faster than they are carried', 'publish reliably')])
def test_the_cause_fits_size_and_reliability(nbytes, reliable, offered, says, says_not):
    _, text = watched([0.1 * i * i for i in range(9)], nbytes, reliable, offered)
    assert says in text and says_not not in text


def test_a_camera_that_keeps_no_time_loses_nothing():
    rng, stamp_s, stamps_s = random.Random(2), 0.0, []
    for _ in range(60):
        stamp_s += rng.uniform(0.05, 0.3)
        stamps_s.append(stamp_s)
    assert watched(stamps_s) == ((0, 0), '')


def test_few_images_and_a_clock_that_goes_back_tell_nothing():
    assert watched([0.0, 0.2, 0.8, 1.0])[0] == (0, 0)
    assert watched([10.0, 10.2, 10.4, 10.6, 1.0, 1.2, 1.4])[0] == (0, 0)
