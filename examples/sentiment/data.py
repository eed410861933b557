"""Reviews of a product, generated from a small vocabulary: 240 a day for thirty days, read and labelled by people.

From day 20 on, after a change of the form, twice as many reviews are neutral. The words themselves do not change: what
shifts is how often each label comes. Run it: python data.py events.parquet
"""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, A_DAY, CHANGE = 30, 240, 20
START = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = ("negative", "neutral", "positive")
BEFORE, AFTER = (0.3, 0.2, 0.5), (0.2, 0.4, 0.4)
WORDS = {
    "negative": ["broke", "poor", "slow", "refund", "bad", "never", "late", "cheap", "disappointed", "waste"],
    "neutral": ["arrived", "okay", "average", "expected", "fine", "standard", "box", "ordinary", "usual", "delivery"],
    "positive": ["great", "love", "perfect", "fast", "excellent", "happy", "recommend", "sturdy", "beautiful", "best"],
}
FILLING = ["the", "it", "was", "and", "this", "product", "for", "my", "with", "after", "days", "bought"]


def rows() -> pl.DataFrame:
    """Return the reviews in time order, each with what a person read in it."""
    chance = np.random.default_rng(20260103)
    labels: list[str] = []
    for day in range(DAYS):
        labels += chance.choice(LABELS, A_DAY, p=BEFORE if day < CHANGE else AFTER).tolist()
    texts = []
    for label in labels:
        own = chance.choice(WORDS[label], 3).tolist()
        other = chance.choice(WORDS[str(chance.choice(LABELS))], 1).tolist()
        words = own + other + chance.choice(FILLING, 6).tolist()
        texts.append(" ".join(chance.permutation(words)))
    at = [START + timedelta(seconds=86_400 / A_DAY * i) for i in range(DAYS * A_DAY)]
    return pl.DataFrame({"at": at, "review": texts, "sentiment": labels})


if __name__ == "__main__":
    rows().write_parquet(sys.argv[1])
