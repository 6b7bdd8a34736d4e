"""Forged files are refused, in the memory of a picture that fits."""

import subprocess
import sys
from pathlib import Path

import pytest
from unit.pictures.attacks import ATTACKS

TESTS = Path(__file__).parents[2]
KILOBYTES = 20_000
HARMLESS = {'png_with_a_damaged_length'}  # all of its pixels are there


@pytest.mark.parametrize('name', ATTACKS)
def test_an_attack_is_refused_and_takes_no_memory(name: str) -> None:
    done = subprocess.run([sys.executable, '-m', 'unit.pictures.decode_in_child', name], cwd=TESTS,
                          capture_output=True, text=True, check=True)
    memory, *answers = done.stdout.splitlines()
    assert int(memory) < KILOBYTES
    assert [a.split(':')[0] for a in answers[:2]] == ['DecodeError', 'DecodeError']
    assert answers[2].startswith('decoded' if name in HARMLESS else 'ImageError')
