"""Pages that stand alone: HTML with its style and its pictures inside, which asks for nothing from outside.

Used by the reports of tournaments (`selfplay.tournament.report`) and of runs (`selfplay.reports`).
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
.text { text-align: left; }
.answer { font-size: 1.15rem; }
.boards { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem 1.5rem; }
figure { margin: 0; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
"""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches, for a file and not for a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def as_png(figure: Figure) -> bytes:
    """The figure as PNG: the same bytes for the same figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()


def html_picture(title: str, png: bytes) -> str:
    """A heading and a picture."""
    text = html.escape(title)
    return f"<h2>{text}</h2>\n{_image(f'{title}, a picture; its numbers are in the tables', png)}"


def html_answer(text: str) -> str:
    """The sentence with which a page begins."""
    return f'<p class="answer">{html.escape(text)}</p>'


def html_boards(title: str, boards: Sequence[tuple[str, bytes]]) -> str:
    """A heading and small pictures side by side, each with its text below."""
    figures = [
        f"<figure>{_image('the last position', png)}<figcaption>{html.escape(text)}</figcaption></figure>"
        for text, png in boards
    ]
    return f'<h2>{html.escape(title)}</h2>\n<div class="boards">{"".join(figures)}</div>'


def _image(text: str, png: bytes) -> str:
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], text_column: int = 0) -> str:
    """A table of plain text; all columns but one are aligned as numbers."""

    def cells(row: Sequence[str], opening: str, closing: str) -> str:
        kinds = [' class="text"' if i == text_column else "" for i in range(len(row))]
        return "".join(f"<{opening}{kind}>{html.escape(cell)}{closing}" for kind, cell in zip(kinds, row))

    top = cells(head, 'th scope="col"', "</th>")
    body = "".join(f"<tr>{cells(row, 'td', '</td>')}</tr>\n" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table>"


def page(title: str, body: str) -> str:
    """A whole page; `title` is plain text, `body` is HTML."""
    text = html.escape(title)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text}</title><style>{_STYLE}</style></head><body>
<h1>{text}</h1>
{body}
</body></html>
"""
