"""What `make docs` shows beside the files of docs/: README.md and its neighbours, the laboratory book, the reference.

MkDocs calls these functions (`hooks` in mkdocs.yml). Every file keeps its path in the repository, so a link that works
there works on the site.
"""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
NEIGHBOURS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
BOOK = "benchmarks/results"
REFERENCE = ("games", "search", "nets", "selfplay")
"""Packages whose `__all__` is public."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add to the navigation what is found in folders: pages of games, the reference, the laboratory book."""
    config.nav.append({"Games": sorted(pages("docs/games"), key=lambda page: not page.endswith("index.md"))})
    config.nav.append({"Reference": [f"reference/{package}.md" for package in REFERENCE]})
    book = sorted((page for page in pages(BOOK) if not page.endswith("README.md")), reverse=True)
    config.nav.append({"Laboratory book": [f"{BOOK}/README.md", *book]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the site, named as in the repository."""
    site, names = [], [*NEIGHBOURS, *pages(BOOK)]
    for file in files:
        if file.src_dir != config.docs_dir:  # of the theme
            site.append(file)
        elif not file.src_uri.endswith(".py"):
            names.append(f"docs/{file.src_uri}")
    for name in names:
        site.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for package in REFERENCE:
        site.append(File.generated(config, f"reference/{package}.md", content=reference(package)))
    return Files(site)


def pages(folder: str) -> list[str]:
    """Paths of the pages in a folder of the repository, relative to its root."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob("*.md"))


def reference(package: str) -> str:
    """The page of a package, read without importing it: its docstring, and every name of `__all__` with its own."""
    module = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    names: list[str] = []
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
    entries = "\n\n".join(f"::: {package}.{name}" for name in names)
    return f"# `{package}`\n\n{ast.get_docstring(module)}\n\n{entries}\n"
