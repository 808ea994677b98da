"""Tell from a metric's name which way it is better."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

# fmt: off
LOWER = frozenset([
    "loss", "err", "error", "errors", "mse", "rmse", "mae", "mape", "msle", "nll", "perplexity", "ppl", "wer",
    "cer", "fid", "kl", "regret", "brier", "time", "seconds", "latency", "bpc", "bpb", "divergence", "distance",
    "misses",
])
HIGHER = frozenset([
    "acc", "accuracy", "auc", "auroc", "auprc", "f1", "precision", "recall", "sensitivity", "specificity", "r2",
    "score", "iou", "dice", "bleu", "rouge", "map", "ndcg", "psnr", "ssim", "reward", "return", "throughput",
    "hits", "elbo", "likelihood", "purity", "ari", "nmi", "mcc", "kappa",
])
# fmt: on
"""Words of a metric's name that tell which way is better; the setting ``better`` overrides them."""


def direction(name: str, better: Sequence[tuple[str, str]] = ()) -> str | None:
    """Which way a metric is better, ``lower`` or ``higher``, by the settings or by the words of its name."""
    for glob, way in better:
        if fnmatchcase(name, glob):
            return way
    words = [word for word in _words(name) if word in LOWER or word in HIGHER]
    if not words:
        return None
    return "lower" if words[-1] in LOWER else "higher"


def _words(name: str) -> list[str]:
    parts = []
    word = ""
    for char in name:
        if not char.isalnum() or (char.isupper() and word and not word[-1].isupper()):
            parts.append(word)
            word = ""
        if char.isalnum():
            word += char
    return [word.lower() for word in (*parts, word) if word]
