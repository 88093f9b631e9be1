"""The parts of a calibrator: the result of fitting, and what is stored."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from trustpose.calibration.card import Card
from trustpose.calibration.distribution_shift import Domain
from trustpose.calibration.opinion_shift import OpinionDomain
from trustpose.calibration.probabilities import Recalibration
from trustpose.calibration.score_maps import IsotonicMaps, LogisticMaps
from trustpose.calibration.trees import Trees
from trustpose.poses import ErrorModel


@dataclass(frozen=True, eq=False)
class CalibratorParts:
    """The model, its correction (None: none), the fitted people's domain, the card, the ids of their photos, and the
    domain of each second opinion that it reads; and which discs of expected errors hold (None: those of the mixture of
    Rayleigh distributions, of calibrators of earlier versions and for too few people)."""

    model: Trees | LogisticMaps | IsotonicMaps
    recalibration: Recalibration | None
    domain: Domain
    card: Card
    image_ids: Int[np.ndarray, " I"]
    opinions: tuple[OpinionDomain, ...] = ()
    errors: ErrorModel | None = None
