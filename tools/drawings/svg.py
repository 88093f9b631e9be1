"""A small SVG canvas: shapes with round numbers, so that the same drawing is the same file."""

from html import escape
from pathlib import Path

INK, GREY, LIGHT, PAPER = "#263238", "#78909c", "#cfd8dc", "#ffffff"
RED, YELLOW, SKY, BLUE = "#d55e00", "#f0e442", "#56b4e9", "#0072b2"  # of Okabe & Ito's colour-blind-safe palette
SCALE = [
    (213, 94, 0),
    (240, 180, 40),
    (240, 228, 66),
    (86, 180, 233),
    (0, 114, 178),
]  # those of drawings on photos


def trust_colour(trust: float) -> str:
    """Return the colour of a trust from 0 to 1."""
    place = min(max(trust, 0.0), 1.0) * (len(SCALE) - 1)
    low = min(int(place), len(SCALE) - 2)
    mixed = (a + (b - a) * (place - low) for a, b in zip(SCALE[low], SCALE[low + 1], strict=True))
    return "#" + "".join(f"{round(one):02x}" for one in mixed)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


class Drawing:
    """A drawing of `width` × `height` pixels on a white card, which is readable on dark pages too."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.size = width, height
        self.parts = [f"<title>{escape(title)}</title>"]
        self.rect(0, 0, width, height, fill=PAPER, radius=8)

    def _add(self, tag: str, text: str | None = None, **attributes: float | str | None) -> None:
        written = "".join(
            f' {name.replace("_", "-")}="{_number(value) if isinstance(value, (int, float)) else escape(value)}"'
            for name, value in attributes.items()
            if value is not None
        )
        self.parts.append(f"<{tag}{written}/>" if text is None else f"<{tag}{written}>{escape(text)}</{tag}>")

    def rect(
        self, x: float, y: float, w: float, h: float, fill: str, stroke: str | None = None, radius: float = 0
    ) -> None:
        self._add("rect", x=x, y=y, width=w, height=h, rx=radius or None, fill=fill, stroke=stroke)

    def line(
        self, *points: tuple[float, float], stroke: str = INK, width: float = 1.5, dash: str | None = None
    ) -> None:
        text = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        style = {"stroke_linecap": "round", "stroke_linejoin": "round", "stroke_dasharray": dash}
        self._add("polyline", points=text, fill="none", stroke=stroke, stroke_width=width, **style)

    def circle(
        self, x: float, y: float, r: float, fill: str = "none", stroke: str | None = None, width: float = 1.5
    ) -> None:
        self._add("circle", cx=x, cy=y, r=r, fill=fill, stroke=stroke, stroke_width=width if stroke else None)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 13,
        anchor: str = "start",
        fill: str = INK,
        bold: bool = False,
    ) -> None:
        weight = "bold" if bold else None
        self._add("text", text, x=x, y=y, font_size=size, text_anchor=anchor, fill=fill, font_weight=weight)

    def arrow(self, x0: float, y0: float, x1: float, y1: float, stroke: str = GREY) -> None:
        """A line with a head, horizontal or vertical."""
        length = max(abs(x1 - x0), abs(y1 - y0))
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        self.line((x0, y0), (x1, y1), stroke=stroke)
        wings = [(x1 - 6 * dx + side * 4 * dy, y1 - 6 * dy + side * 4 * dx) for side in (-1, 1)]
        self.line(wings[0], (x1, y1), wings[1], stroke=stroke)

    def save(self, path: Path) -> None:
        width, height = (_number(one) for one in self.size)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        )
        path.write_text("\n".join([f'{head} font-family="sans-serif">', *self.parts, "</svg>", ""]), encoding="utf-8")
