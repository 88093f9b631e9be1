"""The environment of the pages' templates, and what several of them print."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trustpose.report.summary import number
from trustpose.report.terms import anchor, breakable, linked

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,  # file names and labels are untrusted
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"number": number, "linked": linked, "anchor": anchor, "breakable": breakable}


def letter(file_index: int) -> str:
    """Return the letter that denotes a file in narrow columns: A, B, …; its number after Z."""
    return chr(ord("A") + file_index) if file_index < 26 else str(file_index + 1)
