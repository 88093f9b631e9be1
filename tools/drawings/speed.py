"""Where the time of reading, evaluating and auditing goes, before and after both cores were used."""

from svg import BLUE, GREY, LIGHT, SKY, Drawing

STAGES = {  # docs/speed.md: ms of the processor, before and after, each on the main thread and on all
    "reading the ground truth": ((25.6, 27.8), (27.5, 29.7)),
    "reading the results": ((35.3, 42.5), (35.6, 43.0)),
    "the ten numbers": ((36.6, 36.6), (37.2, 37.2)),
    "audit, 1,000 draws": ((940, 3043), (336, 2917)),
}


def speed() -> Drawing:
    """Bars of each stage: what the main thread takes, and what other threads take beside it."""
    drawing = Drawing(760, 74 + 66 * len(STAGES), "Where the time goes, before and after")
    left, wide = 186, 470
    for x, colour, label in ((left, BLUE, "main thread"), (left + 130, SKY, "other threads, beside it")):
        drawing.rect(x, 16, 14, 14, fill=colour, radius=2)
        drawing.text(x + 20, 28, label, 13)
    for row, (stage, moments) in enumerate(STAGES.items()):
        y = 46 + 66 * row
        drawing.text(left - 12, y + 31, stage, 13, "end")
        most = max(total for _, total in moments)
        for line, (moment, (main_thread, total)) in enumerate(zip(("before", "after"), moments, strict=True)):
            top, scale = y + 26 * line, wide / most
            drawing.rect(left, top, main_thread * scale, 21, fill=BLUE, radius=2)
            drawing.rect(left + main_thread * scale, top, (total - main_thread) * scale, 21, fill=SKY, radius=2)
            drawing.text(left + total * scale + 8, top + 15, f"{moment}, {total:,.0f} ms", 12, fill=GREY)
        drawing.line((left, y - 4), (left, y + 51), stroke=LIGHT, width=1)
    drawing.text(
        left, 62 + 66 * len(STAGES), "milliseconds of the processor; each stage has its own scale", 12, fill=GREY
    )
    return drawing
