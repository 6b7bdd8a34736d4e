from unit.power.um_frames import reading

from offload_perception.power.drivers.samples import SampleStream


def repeated(*times_s: float) -> list[bool]:
    stream = SampleStream()
    return [stream.take(t_s, reading()).repeated for t_s in times_s]


def test_equal_values_within_the_refresh_time_are_a_repetition() -> None:
    assert repeated(0.0, 0.2, 0.4) == [False, True, True]


def test_equal_values_of_a_steady_load_are_new() -> None:
    assert repeated(0.0, 0.5, 1.0) == [False, False, False]


def test_repetitions_do_not_add_up_to_silence() -> None:
    """Polled at 5 Hz, a steady load still gives a new sample at every other or third poll."""
    assert repeated(0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2) == [
        False, True, True, False, True, True, False]


def test_changed_values_are_new_at_any_time() -> None:
    stream = SampleStream()
    stream.take(0.0, reading())
    assert not stream.take(0.1, reading(current_a=0.41, power_w=2.05)).repeated


def test_a_sample_has_the_time_volts_amperes_and_watts_of_its_reading() -> None:
    sample = SampleStream(emulated=True).take(7.0, reading())
    assert (sample.t_s, sample.voltage_v, sample.current_a, sample.power_w) == (7.0, 5.0, 0.4, 2.0)
    assert sample.emulated and not SampleStream().take(7.0, reading()).emulated
