"""A page in HTML and in Markdown, made of the same parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repsam_ros.presentation.html_page import make_page, text
from repsam_ros.presentation.html_page import table as html_table
from repsam_ros.presentation.markdown import table as markdown_table

# Tables of more columns are set smaller.
_WIDE = 8


class Page:
    """HTML and Markdown of the same parts."""

    def __init__(self) -> None:
        self.html: list[str] = []
        self.markdown: list[str] = []

    def heading(self, words: str) -> None:
        self.html.append(f"<h2>{text(words)}</h2>")
        self.markdown.append(f"## {words}")

    def paragraph(self, words: str, strong: bool = False) -> None:
        inside = f"<strong>{text(words)}</strong>" if strong else text(words)
        self.html.append(f"<p>{inside}</p>")
        self.markdown.append(f"**{words}**" if strong else words)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        cells = [
            [name, *(text(cell).replace(" ", "&nbsp;") for cell in row)] for name, *row in rows
        ]
        whole = html_table(heads, cells, wide=len(heads) > _WIDE)
        self.html.append(f'<div class="scroll">{whole}</div>')
        self.markdown.append(markdown_table(heads, rows))

    def images(self, files: Mapping[str, str], *, beside: bool = False) -> None:
        """Files relative to the page, each with its caption, below or beside each other."""
        figures = "".join(
            f'<figure><img src="{text(file)}" alt="{text(words)}" loading="lazy">'
            f"<figcaption>{text(words)}</figcaption></figure>"
            for file, words in files.items()
        )
        columns = "grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr))"
        style = f' class="frames" style="{columns}"' if beside else ""
        self.html.append(f"<div{style}>{figures}</div>")
        self.markdown += [f"![{words}]({file})\n\n{words}" for file, words in files.items()]

    def whole(self, title: str) -> tuple[str, str]:
        """The HTML file and the Markdown file."""
        return make_page(title, self.html), "\n\n".join([f"# {title}", *self.markdown]) + "\n"
