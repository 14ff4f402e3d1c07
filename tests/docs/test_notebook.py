"""The notebook runs from its first cell to its last: the player knows the drawing moves, and random play comes last."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_pages import LINK, MOST_WORDS, num_words, sentences

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tic_tac_toe.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]

RUN = """
import json, sys
from pathlib import Path
import matplotlib.pyplot as plt
pictures = []
plt.show = lambda: pictures.append(plt.gcf().savefig(f"{len(pictures)}.png"))
for cell in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), globals())
print("best move:", analysis.action)
print("ranks:", *(row["player"].partition(":")[0] for row in standings["table"]))
"""
"""The cells one after the other, as a notebook runs them; what it would show goes to files."""


def texts(kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == kind]


def test_its_sentences_are_short_and_its_links_lead_to_pages() -> None:
    text = "\n\n".join(texts("markdown"))
    assert [one for one in sentences(text) if num_words(one) > MOST_WORDS] == []
    assert [name for _, name in LINK.findall(text) if not (NOTEBOOK.parent / name).exists()] == []


@pytest.mark.slow
def test_it_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "WANDB_MODE": "offline"}
    command = [sys.executable, "-c", RUN, str(NOTEBOOK)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("*.png")} == {"0.png", "1.png"}
    score = float(re.search(r"^against random: ([\d.]+) %$", done.stdout, re.MULTILINE)[1])  # type: ignore[index]
    assert score > 80
    assert re.search(r"^best move: [1357]$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^ranks: .* random$", done.stdout, re.MULTILINE), done.stdout
