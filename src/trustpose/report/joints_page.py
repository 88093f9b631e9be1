"""The page of audits of joints, for data sets without OKS: one self-contained HTML file without scripts."""

from collections.abc import Sequence
from pathlib import Path

from trustpose.evaluation.joints_only import JointsAudit
from trustpose.report.joints import describe_difference, joint_sections
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
        colours=[SERIES[index % len(SERIES)] for index in range(len(audits))],
        letters=[letter(index) for index in range(len(audits))],
        sentences=[_sentence(audit, label) for audit, label in zip(audits, labels, strict=True)],
        joints=joint_sections(audits),
    )


def _sentence(audit: JointsAudit, label: str) -> str:
    """Return a file's headlines, and how its first metric's differs from the other files'."""
    rates = [
        f"{localisation.title} {number(getattr(localisation, localisation.headline))}"
        for localisation in audit.localisation.values()
    ]
    text = f"{label}: {', '.join(rates)}."
    name, first = next(iter(audit.localisation.items()))
    for difference in audit.compare:
        if difference.metric == f"localisation.{name}.{first.headline}" and difference.low is not None:
            change = number(difference.difference, sign=True)
            against = Path(difference.against).name
            text += f" {first.title} {change} against {against}: {describe_difference(difference)}."
    return text
