"""The digits of scikit-learn, split into what to learn from and what to test on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Part(NamedTuple):
    """Images as rows of 64 grey values in 0..1, and the digit that each shows."""

    images: np.ndarray
    labels: np.ndarray


def load(seed: int) -> tuple[Part, Part]:
    """The two parts, 3 to 1, shuffled by ``seed``."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.25, random_state=seed, stratify=labels)
    return Part(split[0], split[2]), Part(split[1], split[3])
