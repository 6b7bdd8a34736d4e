import os
import sys

import pytest

from offload_perception.console import command
from offload_perception.errors import PlanError


def test_wrong_input_ends_with_a_line_and_code_2(capsys):
    @command
    def main(argv=None):
        raise PlanError('give more')

    assert main() == 2
    assert capsys.readouterr().err == 'error: give more\n'


def test_a_reader_who_has_seen_enough_is_no_error(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)

    @command
    def main(argv=None):
        print('much')
        return 0

    with os.fdopen(writing, 'w') as out:
        monkeypatch.setattr(sys, 'stdout', out)
        assert main() == 0


@pytest.mark.parametrize('code', [0, 3])
def test_the_code_is_passed_on(code):
    assert command(lambda argv=None: code)() == code
