"""The page of audits of joints, for data sets without OKS: one self-contained HTML file without scripts."""

from collections.abc import Sequence
from pathlib import Path

from trustpose.evaluation.joints_only import JointsAudit
from trustpose.report.joints import joint_sections, judged
from trustpose.report.summary import file_labels, number
from trustpose.report.svg import SERIES
from trustpose.report.templates import TEMPLATES, letter
from trustpose.version import __version__


def joints_page(audits: Sequence[JointsAudit]) -> str:
    """Return the page as HTML. Raises ValueError without an audit."""
    if not audits:
        raise ValueError("audits: expected at least one, got none")
    labels = file_labels(audits)
    return TEMPLATES.get_template("joints_page.html.jinja").render(
        version=__version__,
        audits=audits,
        labels=labels,
        colours=[SERIES[place % len(SERIES)] for place in range(len(audits))],
        letters=[letter(place) for place in range(len(audits))],
        sentences=[_sentence(audit, label) for audit, label in zip(audits, labels, strict=True)],
        joints=joint_sections(audits),
    )


def _sentence(audit: JointsAudit, label: str) -> str:
    """Return a file's headlines, and how its first metric's differs from the other files'."""
    rates = [f"{one.title} {number(getattr(one, one.headline))}" for one in audit.localisation.values()]
    text = f"{label}: {', '.join(rates)}."
    name, first = next(iter(audit.localisation.items()))
    for one in audit.compare:
        if one.metric == f"localisation.{name}.{first.headline}" and one.low is not None:
            text += (
                f" {first.title} {number(one.difference, sign=True)} against {Path(one.against).name}: {judged(one)}."
            )
    return text
