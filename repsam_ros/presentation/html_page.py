"""The HTML page that all reports share: one file, light or dark as the reader's system is."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

# Ink on paper and muted text have a contrast of at least 4.5 : 1 in both (WCAG 2.2, level AA).
_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2430; --muted: #525d6e;
  --line: #d9dee6; --panel: #f4f6f9; --bar: #2f6db3; --mark: #b83a08; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161d; --ink: #e6e9ef;
  --muted: #a9b3c2; --line: #39424f; --panel: #1b212b; --bar: #6ba4e8; --mark: #fb923c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1320px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.columns { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; align-items: flex-start; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0; }
caption { text-align: left; font-weight: 600; padding: .2rem .8rem; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } tbody th { font-weight: inherit; }
td:last-child:not(:first-child).words { text-align: left; overflow-wrap: anywhere; }
tr.main td, tr.main th { font-weight: 600; } table.wide { font-size: .87em; }
table.wide th, table.wide td { padding: .15rem .5rem; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0;
  padding: 0; cursor: pointer; text-align: inherit; white-space: nowrap; }
th button::after { content: " \\2195"; color: var(--muted); }
th[aria-sort=ascending] button::after { content: " \\2191"; color: inherit; }
th[aria-sort=descending] button::after { content: " \\2193"; color: inherit; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
.frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
.frames figure { margin: 0; } .frames img { width: 100%; }
figcaption, .note { color: var(--muted); } a { color: var(--bar); }
pre { background: var(--panel); padding: .8rem; overflow: auto; }
summary { cursor: pointer; font-weight: 600; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--muted); }
svg .grid { stroke: var(--line); } svg .bar { fill: var(--bar); }
svg .dot { fill: var(--bar); fill-opacity: .55; }
svg .mark { stroke: var(--mark); stroke-width: 1.5; fill: none; }
svg .range { stroke: var(--bar); stroke-width: 2; }
"""

# Heads of sortable tables are buttons: the keyboard reaches them too.
_SORT_SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const order = head.ariaSort === "ascending" ? "descending" : "ascending";
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => a.localeCompare(b, undefined, { numeric: true });
    const rows = [...body.rows].sort((a, b) =>
      sign * compare(a.cells[column].textContent, b.cells[column].textContent));
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    body.append(...rows);
  }));
}
"""


def make_page(title: str, body: Sequence[str]) -> str:
    """The whole file; ``body`` is HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Without this line browsers ask the server for an icon.
        '<link rel="icon" href="data:,">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{text(title)}</h1>{''.join(body)}</main><script>{_SORT_SCRIPT}</script></body></html>\n"
    )


def text(value: object) -> str:
    """``value`` as it may stand in HTML, attributes included."""
    return html.escape(str(value))


def mapping_table(values: Mapping[str, object], caption: str = "") -> str:
    """One row a name."""
    rows = (
        f'<tr><th scope="row">{text(name)}</th><td class="words">{text(value)}</td></tr>'
        for name, value in values.items()
    )
    return f"<table>{_caption(caption)}<tbody>{''.join(rows)}</tbody></table>"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    main: Sequence[int] = (),
    sortable: bool = False,
    wide: bool = False,
) -> str:
    """A table whose first column names the rows.

    Args:
        rows: HTML of the cells.
        main: Numbers of the rows that stand out.
        sortable: Whether a click on a head sorts; such tables may be wide, so they scroll.
        wide: Whether it is set smaller.
    """
    cells = (f"<button>{text(head)}</button>" if sortable else text(head) for head in heads)
    head = "".join(f'<th scope="col">{cell}</th>' for cell in cells)
    lines = []
    for k, (name, *values) in enumerate(rows):
        kind = ' class="main"' if k in main else ""
        row = "".join(f"<td>{value}</td>" for value in values)
        lines.append(f'<tr{kind}><th scope="row">{name}</th>{row}</tr>')
    kind = ' class="sortable wide"' if sortable else ' class="wide"' if wide else ""
    whole = (
        f"<table{kind}>{_caption(caption)}<thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )
    return f'<div class="scroll">{whole}</div>' if sortable else whole


def _caption(caption: str) -> str:
    return f"<caption>{text(caption)}</caption>" if caption else ""
