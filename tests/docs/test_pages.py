"""The pages for people: sentences that are read once, links that lead somewhere, a navigation without a gap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECORDS = [ROOT / "CHANGELOG.md", *sorted((ROOT / "benchmarks" / "results").glob("*.md"))]
"""Pages that stay as they were written."""

MOST_WORDS = 30
MOST_LINES = 120

CODE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^ *\|.*$", re.MULTILINE)
ITEM = re.compile(r"^ *(?:[-*] |\d+\. |#+ |> )", re.MULTILINE)
"""The beginning of a list item, a heading or a quotation, before which a sentence ends."""

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:games|search|nets|selfplay|tests|benchmarks|configs|docs)/(?![\w/]*NAME)[\w/.-]+\.\w+)`")


def text_of(page: Path) -> str:
    """A page without its blocks of code."""
    return CODE.sub("\n\n", page.read_text(encoding="utf-8"))


def sentences(text: str) -> Iterator[str]:
    """The sentences outside tables. Code within a line counts as one word."""
    text = LINK.sub(r"\1", re.sub(r"`[^`]+`", "Code", TABLE.sub("", text)))
    for paragraph in re.split(r"\n\s*\n", ITEM.sub("\n\n", text)):
        yield from re.split(r"(?<=[.!?])[*_\")]*\s+(?=[\"(*_]*[A-Z0-9])", " ".join(paragraph.split()))


def num_words(sentence: str) -> int:
    """Words between spaces that have a letter or a digit."""
    return sum(any(c.isalnum() for c in word) for word in sentence.split())


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def listed(entry: object) -> Iterator[str]:
    """The pages of a part of a navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        parts = entry.values() if isinstance(entry, dict) else entry
        yield from (page for part in parts for page in listed(part))


def of_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_a_sentence_ends_where_a_reader_ends_it() -> None:
    text = "# Head\n\nOne `a. b` two\nthree. Four [five](x.md)!\n\n* six\n* seven: eight\n\n| nine |\n"
    assert [num_words(one) for one in sentences(text) if one] == [1, 4, 2, 1, 2]


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_no_sentence_is_long(page: Path) -> None:
    assert [one for one in sentences(text_of(page)) if num_words(one) > MOST_WORDS] == []


@pytest.mark.parametrize("page", [*PAGES, *RECORDS], ids=of_page)
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    broken = []
    for _, link in LINK.findall(text_of(page)):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not link.startswith("https://") and not (target.exists() and (not anchor or anchor in anchors(target))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = text_of(page)
    tests = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert [name for name in FILE.findall(text) if not (ROOT / name).exists()] == []
    assert set(re.findall(r"`(test_\w+)`", text)) <= tests


@pytest.mark.parametrize("name", ["README.md", "docs/results.md"])
def test_short_pages_stay_short(name: str) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_navigation_of_the_site_names_every_page_once() -> None:
    pages = list(listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    on_disk = [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]
    assert sorted(pages) == sorted([*on_disk, "README.md", "CONTRIBUTING.md", "CHANGELOG.md"])


def test_the_readme_names_every_page_and_package() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {link.partition("#")[0] for _, link in LINK.findall(readme)}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked
    packages = {path.parent.name for path in (ROOT / "selfplay").glob("*/__init__.py")}
    tree = readme.partition("\nselfplay/ ")[2].partition("\nconfigs/ ")[0]
    assert set(re.findall(r"^[├└]── (\w+)/ ", tree, re.MULTILINE)) == packages


def test_the_laboratory_book_lists_every_measurement() -> None:
    book = ROOT / "benchmarks" / "results"
    linked = {link for _, link in LINK.findall((book / "README.md").read_text(encoding="utf-8"))}
    assert {path.name for path in book.glob("*.md")} - {"README.md"} <= linked
