"""The pages for people: sentences that are read once, links that lead somewhere, a navigation without a gap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKING = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / "benchmarks" / "results").glob("*.md"))]
MOST_WORDS = 30

FENCE = re.compile(r"^( *)(```|\$\$).*?^\1\2$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^ *(?:[-*] |\d+\. |#+ |> )", re.MULTILINE)
"""Where a list item, a heading or a quotation begins: a sentence ends before it."""


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page outside code, formulas and tables. Code and a formula in a line count as one word."""
    text = FENCE.sub("\n\n", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^ *\|.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]+`|\$[^$\n]+\$", "Code", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for paragraph in re.split(r"\n\s*\n", BLOCK.sub("\n\n", text)):
        yield from re.split(r"(?<=[.!?])[*_\")]*\s+(?=[\"(*_]*[A-Z0-9])", " ".join(paragraph.split()))


def words(sentence: str) -> int:
    """Words of a sentence: what stands between spaces and has a letter or a digit."""
    return sum(any(c.isalnum() for c in word) for word in sentence.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sentence_is_long(page: Path) -> None:
    long = [s for s in sentences(page.read_text(encoding="utf-8")) if words(s) > MOST_WORDS]
    assert not long, f"{len(long)} sentences of more than {MOST_WORDS} words, the first: {long[0]}"


LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:games|search|nets|selfplay|tests|benchmarks|configs|docs)/[\w/.-]+\.(?:py|yaml|md|jsonl|png))`")


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub and MkDocs link to them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_are_there(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    missing = [name for name in FILE.findall(text) if not (ROOT / name).exists()] if page in PAGES else []
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if link.startswith(("http://", "https://")):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert not missing
