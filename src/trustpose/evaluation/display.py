"""Methods of audits for users: save them, show their page, and what notebooks show of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustpose.files import InputError, atomic_write, write_json
from trustpose.notebook import html_line, html_table

_LABELS = {
    "ap.AP": "AP",
    "headroom": "headroom: AP by the true OKS − AP",
    "pose.pearson": "pose r: score with OKS",
    "pose.ece": "pose ECE",
    "keypoint.pearson": "keypoint r: score with OPKS",
    "keypoint.ece": "keypoint ECE",
    "visibility.labelled.f1": "labelled or not, F1",
    "presence.auroc": "presence, AUROC",
}


class AuditDisplay:
    """Methods of `Audit` and `JointsAudit` that need packages of higher layers, which they import when they are called;
    the layer check lists them."""

    if TYPE_CHECKING:

        @property
        def intervals(self) -> dict[str, tuple[float, float]]: ...
        def as_dict(self) -> dict[str, Any]: ...
        def number(self, name: str) -> float | None: ...

    def save(self, path: str | Path, *, images: str | Path | None = None) -> None:
        """Write the audit to a file, in the format of its suffix, atomically.

        Args:
            path: .json for the numbers, as `trustpose audit --json` writes them; .html for the page, which any browser
                shows without a network.
            images: the folder of the photos, for the page's gallery of instructive people.

        Raises:
            InputError: for another suffix, and if the file cannot be written.

        Example:
            >>> tp.audit("gt.json", "results.json", draws=20).save("audit.html")
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".json":
            write_json(path, self.as_dict())
        elif suffix == ".html":
            with atomic_write(path) as file:
                file.write(self._page(images).encode())
        else:
            raise InputError(f"{path}: expected a name that ends in .json or .html")

    def show(self, *, images: str | Path | None = None) -> None:
        """Show the audit's page: in the notebook, or else in the browser.

        Args:
            images: the folder of the photos, for the page's gallery of instructive people.
        """
        from trustpose.report.poses_output import show_page

        show_page(self._page(images))

    def _page(self, images: str | Path | None) -> str:
        from trustpose.report.page import page

        return page([self], None if images is None else Path(images))  # type: ignore[bad-argument-type]

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the numbers that are read first."""
        rows = [(label, *self._cells(name)) for name, label in self._shown().items()]
        return html_line(repr(self)) + html_table(("", "value", "95 % interval"), rows)

    def _shown(self) -> Mapping[str, str]:
        """Labels of the numbers in the notebook's table, by dotted name."""
        return _LABELS

    def _cells(self, name: str) -> tuple[str, str]:
        """Return a number and its interval, as text."""
        value, ends = self.number(name), self.intervals.get(name)
        interval = "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
        return "–" if value is None else f"{value:.3f}", interval
