"""Faults of health code itself."""

from collections.abc import Iterator
from typing import Any

from offload_perception.health import Level, note
from offload_perception.health.guard import guarded, guarded_values


def test_what_was_found_before_the_fault_stays_and_the_fault_is_found() -> None:
    def source() -> Iterator[Any]:
        yield note('device', 'on the CPU')
        raise FileNotFoundError(2, 'No such file or directory')
    kept, fault = guarded('disk', source)
    assert kept == note('device', 'on the CPU')
    assert fault.level is Level.ERROR
    assert fault.text == ('the health of disk is unknown: FileNotFoundError: [Errno 2] No '
                          'such file or directory')


def test_a_source_that_raises_at_once_is_a_finding_too() -> None:
    def source() -> Iterator[Any]:
        raise ZeroDivisionError
    fault, = guarded('frames', source)
    assert fault.name == 'health of frames' and 'ZeroDivisionError' in fault.text


def test_values_that_cannot_be_read_are_unknown() -> None:
    assert guarded_values('computer', lambda: {'load': 1}) == {'load': 1}
    empty: dict[str, Any] = {}
    assert guarded_values('computer', lambda: empty['gone']) == {
        'computer': "unknown: KeyError: 'gone'"}
