"""Divide images into folds, so that people of one photo are always in the same fold."""

import hashlib

import numpy as np
from jaxtyping import Int, UInt64


def fold_of(image_id: Int[np.ndarray, " N"], folds: int) -> Int[np.ndarray, " N"]:
    """Return the fold (N,) of each image: the SHA-256 of its id, modulo `folds`. The same in every data set."""
    images, inverse = np.unique(image_id, return_inverse=True)
    digests = (hashlib.sha256(str(image).encode()).digest() for image in images.tolist())
    return np.array([int.from_bytes(digest[:8], "big") % folds for digest in digests], dtype=np.int64)[inverse]


def draw_number(image_id: Int[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """Return a number (N,) for each image that is as good as drawn at random, and independent of its fold: the
    finalizer of SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014)."""
    mixed = image_id.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
