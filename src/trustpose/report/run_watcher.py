"""What a caller of `drawn_run.run` is told while it goes on."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trustpose.predict.base_predictor import BasePredictor
    from trustpose.predict.journal import Tell
    from trustpose.predict.sources import Sources


class RunWatcher:
    """Is told how a run goes on; this one shows nothing."""

    def loaded(self, predictor: "BasePredictor") -> None:
        """The model is loaded."""

    def noted(self, note: str) -> None:
        """There is something that the user should know before the run starts."""

    def running(self, sources: "Sources") -> "AbstractContextManager[Tell | None]":  # noqa: ARG002
        """The run starts: the context gives a function to call after each photo or frame."""
        return nullcontext()
