"""Pages of documentation: links lead somewhere, and newcomers find every page."""

import re
from pathlib import Path

import pytest
import yaml

import offload_perception

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')])
LINK = re.compile(r'\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)')


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    heads = re.findall(r'^#+ (.*)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', h.lower()).replace(' ', '-') for h in heads}


@pytest.mark.parametrize('page', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), f'{path}: no such file'
        assert not anchor or anchor in anchors(target), f'{path}#{anchor}: no such heading'


def test_the_index_names_every_page() -> None:
    index = ROOT / 'docs' / 'README.md'
    linked = {(index.parent / path).resolve() for path, _ in LINK.findall(index.read_text())}
    missing = {p.resolve() for p in PAGES} - linked - {index.resolve()}
    assert not missing


@pytest.mark.parametrize('page', [p for p in PAGES if p.parent.name == 'records'],
                         ids=lambda p: p.name)
def test_every_section_of_a_record_that_has_a_table_has_its_command(page: Path) -> None:
    for section in re.split(r'^## ', page.read_text(), flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        made_here = '|---' in section or '| ---' in section
        assert not made_here or re.search(r'\w\.(py|sh)|simulate_fleet --|plan --', section), title


def test_the_citation_is_of_this_version() -> None:
    found = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert found['cff-version'] == '1.2.0' and found['authors'] and found['title']
    assert found['version'] == offload_perception.__version__ and found['license'] == 'Apache-2.0'


def test_the_changelog_has_the_form() -> None:
    text = (ROOT / 'CHANGELOG.md').read_text()
    assert text.startswith('# Changelog') and '## [Unreleased]' in text
    assert set(re.findall(r'^### (.*)$', text, re.MULTILINE)) <= {
        'Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security'}
