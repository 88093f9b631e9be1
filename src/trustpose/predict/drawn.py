"""Draw predictions in threads while others are predicted."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from trustpose.files import DiskError, InputError
from trustpose.predict.base import BasePredictor
from trustpose.predict.journal import Journal
from trustpose.predict.photos import Image, Prediction, prefetch
from trustpose.predict.run_records import Drawings

Stream = Callable[[Iterable[Image]], Iterable[Prediction]]
_AHEAD = 6  # photos drawn while others are predicted


def finished(
    predictor: BasePredictor,
    photos: Iterable[Image],
    journal: Journal,
    drawings: Drawings | None,
    stream: Stream | None,
) -> Iterator[tuple[Prediction, Any, InputError | None]]:
    """Yield each prediction without its pixels, its drawing, made in threads, and the error if drawing failed."""

    def finish(prediction: Prediction) -> tuple[Prediction, Any, InputError | None]:
        photo = prediction.photo
        drawn = problem = None
        try:
            if drawings is not None and prediction.error is None:
                drawn = drawings.draw(prediction)
        except DiskError:  # later drawings and the journal would fail too
            raise
        except InputError as error:  # keep its poses, and continue with the other photos
            problem = error
        light = replace(photo, source="") if isinstance(photo.source, np.ndarray) else photo
        return replace(prediction, photo=light, pixels=None), drawn, problem

    def followed() -> Iterator[Prediction]:
        for prediction in (stream or predictor.stream)(photos):
            journal_poses = journal.done.get(prediction.photo.image_id)
            complete = prediction if journal_poses is None else replace(prediction, poses=journal_poses)
            if drawings is not None and complete.error is None:
                drawings.follow(complete)
            yield complete

    with ThreadPoolExecutor(predictor.threads, "trustpose-draw") as drawers:
        yield from prefetch(drawers, finish, followed(), _AHEAD)
