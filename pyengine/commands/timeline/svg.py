"""A timeline as an image: one SVG file that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from pyengine.commands import printing
from pyengine.commands.timeline import texts
from pyengine.commands.timeline.axis import Axis
from pyengine.commands.timeline.rows import Picture, Row
from pyengine.commands.timeline.terminal import kind_of

_NAMESPACE = "http://www.w3.org/2000/svg"
_WIDTH, _MARGIN, _LINE = 960, 12, 18
_LABEL, _AXIS = 290, 500
_CHARACTER = 6.7
_CHARACTERS = int((_WIDTH - 2 * _MARGIN) / _CHARACTER)
_TICK_ROOM = 70
_SHORTEST = 2.0
_STYLE = """
text { font: 11px ui-monospace, Menlo, Consolas, monospace; fill: #1f2328; }
.paper { fill: #ffffff; } .dim { fill: #656d76; } .grid { stroke: #d8dee4; } .head { font-weight: bold; }
.delay, .queue { fill: #d4a72c; } .delay { opacity: .5; } .attempt { fill: #8c959f; } .copied { fill: #8c959f; }
.step { fill: #2da44e; } .error, .deadline { fill: #cf222e; } .sleep, .wait { fill: #54aeff; }
.child { fill: #8250df; } .created, .end { fill: #1f2328; } .open { stroke: #1f2328; stroke-width: 1.5; fill: none; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .paper { fill: #0d1117; } .dim { fill: #8d96a0; } .grid { stroke: #30363d; }
.created, .end { fill: #e6edf3; } .open { stroke: #e6edf3; }
}
"""


def image(picture: Picture) -> str:
    """The picture as an SVG document."""
    first, second = texts.heading(picture)
    head = [printing.shortened(first, _CHARACTERS), printing.shortened(second, _CHARACTERS)]
    sentences = [
        line
        for sentence in picture.sentences
        for line in printing.wrapped(sentence, indent="  ", width=_CHARACTERS).splitlines()
    ]
    top = _MARGIN + _LINE * (len(head) + 1)
    bottom = top + _LINE * len(picture.rows)
    height = bottom + _MARGIN + _LINE * len(sentences)
    axis = Axis(picture.begin, picture.end, _AXIS)
    parts = [
        f'<svg xmlns="{_NAMESPACE}" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" xml:space="preserve" role="img">',
        f"<title>{_escaped(head[0])}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        *(
            _text(_MARGIN, _MARGIN + _LINE * (n + 0.5), line, "head" if n == 0 else "dim")
            for n, line in enumerate(head)
        ),
        *_ruler(axis, top, bottom),
    ]
    for number, row in enumerate(picture.rows):
        parts += _row(row, picture, axis, top + _LINE * number)
    parts += [
        _text(_MARGIN, bottom + _LINE * (n + 0.8), line, "dim") for n, line in enumerate(sentences)
    ]
    return "\n".join([*parts, "</svg>", ""])


def _ruler(axis: Axis, top: float, bottom: float) -> Iterator[str]:
    for place, name in axis.ticks(_TICK_ROOM):
        x = _LABEL + place
        yield f'<path class="grid" d="M{x:.1f} {top - 4} V{bottom}"/>'
        yield _text(x, top - 8, name, "dim")


def _row(row: Row, picture: Picture, axis: Axis, y: float) -> Iterator[str]:
    base = y + _LINE * 0.7
    room = int((_LABEL - _MARGIN * 2) / _CHARACTER)
    yield f"<g><title>{_escaped(texts.detail(row, picture.now))}</title>"
    yield _text(_MARGIN, base, printing.shortened(texts.label(row), room))
    kind = kind_of(row)
    if not row.spans:
        note = printing.shortened(printing.escaped(row.note or ""), int(_AXIS / _CHARACTER))
        yield _text(_LABEL, base, note, "dim")
    thickness = 4 if row.kind == "attempt" else 10
    for begin, end in _stretches(row, axis):
        yield (
            f'<rect class="{kind}" x="{_LABEL + begin:.1f}" y="{y + (_LINE - thickness) / 2:.1f}" '
            f'width="{end - begin:.1f}" height="{thickness}"/>'
        )
    if row.is_open:
        x, middle = _LABEL + _AXIS, y + _LINE / 2
        yield f'<path class="open" d="M{x} {middle - 4} l5 4 l-5 4"/>'
    words = f"{row.outcome or '':<11} {texts.took(row, picture.now)}"
    yield _text(_LABEL + _AXIS + 14, base, words.rstrip(), "dim")
    yield "</g>"


def _stretches(row: Row, axis: Axis) -> list[tuple[float, float]]:
    """Where the bar of a row lies; stretches that would touch are one, so that a loop is no thousand bars."""
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(axis.stretch(span) for span in row.spans):
        left = min(max(begin, 0.0), axis.width - _SHORTEST)
        right = min(max(end, left + _SHORTEST), axis.width)
        if end < 0 or begin > axis.width:
            continue
        if joined and left <= joined[-1][1] + 0.5:
            joined[-1] = (joined[-1][0], max(joined[-1][1], right))
        else:
            joined.append((left, right))
    return joined


def _text(x: float, y: float, text: str, look: str | None = None) -> str:
    of_look = f' class="{look}"' if look else ""
    # Isolated and from left to right: letters that are written the other way move nothing around them.
    return (
        f'<text{of_look} x="{x:.1f}" y="{y:.1f}" direction="ltr" unicode-bidi="isolate">'
        f"{_escaped(text)}</text>"
    )


def _escaped(text: str) -> str:
    """A text for XML, which has no place for two characters that a name may have."""
    legal = text.replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
    return escape(printing.escaped(legal))
