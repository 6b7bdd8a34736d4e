import os
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from offload_perception.console import command
from offload_perception.errors import PlanError


def test_wrong_input_ends_with_a_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def main(argv: Sequence[str] | None = None) -> int:
        raise PlanError('give more')

    assert main() == 2
    assert capsys.readouterr().err == 'error: give more\n'


def test_a_reader_who_has_seen_enough_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    @command
    def main(argv: Any = None) -> Any:
        print('much')
        return 0

    with os.fdopen(writing, 'w') as out:
        monkeypatch.setattr(sys, 'stdout', out)
        assert main() == 0


@pytest.mark.parametrize('code', [0, 3])
def test_the_code_is_passed_on(code: int) -> None:
    assert command(lambda argv=None: code)() == code
