"""The readers of `parser_fuzz` again, with inputs that are led by what of the code they reach (atheris, libFuzzer).

    pip install atheris
    python tests/fuzz/coverage_fuzz.py NAME -runs=100000

What follows the name goes to libFuzzer. It ends at the first input that a reader neither takes nor refuses as it
should.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris")

GAMES = Path(__file__).parents[2] / "games"
COMPILED = [path.stem for path in GAMES.glob("*.py") if "\nfrom numba import" in path.read_text(encoding="utf-8")]
"""Modules of `games` with functions for numba, which does not compile what atheris has changed."""

with atheris.instrument_imports(
    include=["selfplay", "games"], exclude=["selfplay.replay.sum_tree", *(f"games.{name}" for name in COMPILED)]
):
    from parser_fuzz import READERS, takes


def main() -> None:
    """Fuzz one reader; good inputs are where it begins."""
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        corpus, place = Path(folder) / "corpus", Path(folder) / "place"
        corpus.mkdir()
        place.mkdir()
        for number, good in enumerate(READERS[name].seeds()):
            (corpus / str(number)).write_bytes(good)
        atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: takes(name, data, place) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
