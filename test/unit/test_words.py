"""Pages, messages, docstrings and comments keep to plain words of ROS and networking."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {'behind': 'after', 'meanwhile': 'at the same time', 'whoever': 'the name of the part',
           'somebody': 'the name of the part', 'all the same': 'still', 'so long': 'this long',
           'take it that': 'assume', 'told of': 'reported to', 'tells of': 'shows',
           'insurance': 'hedge', 'insured': 'hedged', 'insures': 'hedges'}
PATTERN = re.compile(r'\b(' + '|'.join(INSTEAD) + r')\b', re.IGNORECASE)
TEXTS = [*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'), *(ROOT / 'msg').glob('*.msg')]
CODE = [path for folder in ('offload_perception', 'benchmarks')
        for path in (ROOT / folder).rglob('*.py')]
WORDS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, 'FSTRING_MIDDLE', tokenize.STRING)}


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text, or the comments and strings of a program."""
    if path.suffix != '.py':
        yield from enumerate(path.read_text().splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type in WORDS:
            yield token.start[0], token.string


@pytest.mark.parametrize('path', sorted(TEXTS + CODE), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_word_that_readers_stop_at(path: Path) -> None:
    found = [f'line {n}: {m[0]!r}; say {INSTEAD[m[0].lower()]}'
             for n, text in prose(path) for m in PATTERN.finditer(text)]
    assert not found
