"""The script that makes every table and figure again, with commands that only seem to work."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import copy

import pytest
from unit.test_goals import PROGRAMS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'scripts' / 'reproduce.sh'
ENVIRONMENT = """root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
die() { printf 'error: %s\\n' "$*" >&2; exit 1; }
"""
TOOL = """#!/bin/bash
# Stands for every command: prints how it was called, fails if $FAILING is in that.
case "$(basename "$0")" in
  id) echo "$USER_ID"; exit ;;
esac
echo "$(basename "$0") $*"
[[ "$*" = *--json\\ result.json* ]] && touch result.json
if [ -n "$FAILING" ] && [[ "$*" = *"$FAILING"* ]]; then echo 'it broke' >&2; exit 3; fi
exit 0
"""
COMMANDS = ('characterize', 'evaluate_model', 'measure_codecs', 'plan', 'report', 'simulate_fleet',
            'train_aerial', 'train_bottleneck')


@dataclass
class Checkout:
    """A checkout with the script, and commands that only print how they were called."""

    folder: Path

    def run(self, *arguments: str, user_id: int = 0,
            failing: str = '') -> subprocess.CompletedProcess[str]:
        tools = self.folder / 'bin'
        return subprocess.run(
            ['bash', self.folder / 'scripts' / SCRIPT.name, *arguments], cwd=self.folder,
            env={'PATH': f'{tools}:/usr/bin:/bin', 'USER_ID': str(user_id), 'FAILING': failing},
            capture_output=True, text=True, timeout=60)

    def said(self, name: str) -> str:
        return (self.folder / 'out' / name / 'output.md').read_text()

    @property
    def index(self) -> dict[str, list[str]]:
        """The rows of the list of everything, by name."""
        lines = (self.folder / 'out' / 'README.md').read_text().splitlines()[4:]
        return {cells[0]: cells[1:] for cells in ([c.strip() for c in line.strip('|').split('|')]
                                                  for line in lines)}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for folder in ('scripts', 'bin', 'offload_perception/weights/aerial'):
        (tmp_path / folder).mkdir(parents=True)
    copy(SCRIPT, tmp_path / 'scripts')
    (tmp_path / 'scripts' / 'environment.sh').write_text(ENVIRONMENT)
    for name in ('python', 'id', 'ip', 'tc', 'nft', *COMMANDS):
        tool = tmp_path / 'bin' / name
        tool.write_text(TOOL)
        tool.chmod(0o755)
    return Checkout(tmp_path)


def test_every_benchmark_and_every_picture_of_the_pages_is_made(checkout: Checkout) -> None:
    (checkout.folder / 'net.tflite').touch()
    (checkout.folder / 'traces').mkdir()
    ran = checkout.run('--traces', 'traces', '--mobilenet', 'net.tflite', 'out')
    assert ran.returncode == 0, ran.stderr
    made = {name: row for name, row in checkout.index.items() if row[1].startswith('made in')}
    calls = ''.join(checkout.said(name) for name in made)
    assert not [p.name for p in PROGRAMS if f'benchmarks/{p.name} ' not in calls]
    assert not [c for c in COMMANDS if f'\n{c} ' not in f'\n{calls}']
    assert f'--traces {checkout.folder}/traces' in checkout.said('planner')
    for name, (page, outcome, _) in checkout.index.items():
        assert (ROOT / page).is_file(), name
        assert outcome.startswith(('made in', 'skipped: ')), name
    assert 'bash scripts/reproduce.sh' in (ROOT / 'docs' / 'README.md').read_text()


def test_quick_is_another_size_of_the_same(checkout: Checkout) -> None:
    assert checkout.run('out', 'fleet', 'latency').returncode == 0
    full = checkout.said('fleet'), checkout.said('latency')
    assert '--seed 1 ' in full[0] and '--sweep drones=1,5,10,20 --duration 300' in full[0]
    assert '--model vgg16 --weights seed:0' in full[1] and 'aerial' not in full[1]
    assert set(checkout.index) == {'fleet', 'latency'}
    checkout.run('--quick', 'out/quick', 'fleet', 'latency')
    assert '--duration 20' in checkout.said('quick/fleet')
    assert 'vgg16' not in checkout.said('quick/latency')
    assert all(s.endswith('\n') and ': ' not in s for s in full)  # no mark of a size is left


def test_what_cannot_be_made_is_skipped_by_name(checkout: Checkout) -> None:
    (checkout.folder / 'bin' / 'nft').unlink()
    assert checkout.run('out', 'loss', 'link_cut', 'planner_recorded', 'codec_mobilenet',
                        'shaped_flight_report', user_id=1000).returncode == 0
    reasons = {name: row[1] for name, row in checkout.index.items()}
    for name, word in (('loss', 'nft'), ('link_cut', 'needs root'),
                       ('planner_recorded', '--traces DIR'), ('codec_mobilenet', '--mobilenet'),
                       ('shaped_flight_report', 'bag of shaped_flight')):
        assert reasons[name].startswith('skipped: ') and word in reasons[name]


def test_one_that_fails_ends_no_other_and_is_made_the_next_time(checkout: Checkout) -> None:
    broken = checkout.run('out', 'codec', 'runtimes', 'plan', failing='codec.py')
    assert broken.returncode == 1 and 'it broke' in broken.stderr
    assert checkout.index['codec'][1] == 'FAILED, see codec.part/log'
    assert checkout.index['runtimes'][1].startswith('made in')
    assert checkout.run('--quick', 'out', 'codec').returncode == 0
    assert checkout.index['codec'][1].startswith('made in')
    assert checkout.index['plan'][1] == checkout.index['runtimes'][1] == 'made before'
    assert '--rounds 25' in checkout.index['runtimes'][2]  # as it was made, not as it would be
    assert not list((checkout.folder / 'out').glob('*.part'))


@pytest.mark.parametrize(('argv', 'says'), [
    (['out', 'plam'], "no table or figure 'plam'"), ([], 'Name a folder'),
    (['--fast', 'out'], 'no option --fast'), (['--traces', 'nowhere', 'out'], 'no nowhere')])
def test_bad_input_is_named(checkout: Checkout, argv: list[str], says: str) -> None:
    ran = checkout.run(*argv)
    assert ran.returncode in (1, 2) and says in ran.stderr
    assert not (checkout.folder / 'out' / 'plan').exists()


def test_help_says_what_the_options_are(checkout: Checkout) -> None:
    assert '--quick' in checkout.run('--help').stdout
