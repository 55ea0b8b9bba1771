"""The gate of the cascade: as high as the tags allow."""

from __future__ import annotations

import numpy as np
from PIL import Image

from geotag.checkpoint import Threshold
from training.glance import LEAST_TAGS, THUMBNAIL, Confidences, fit_glance, thumbnail


def _seen(count: int = 1000) -> Confidences:
    rng = np.random.default_rng(0)
    photos = rng.uniform(0, 1, count)
    return Confidences(photos, photos * rng.uniform(0.2, 1, count))


def test_no_more_than_the_share_of_tags_is_lost() -> None:
    seen = _seen()
    thresholds = (Threshold(0.9, 0.3), Threshold(0.99, 0.7))
    for loss in (0.0, 0.005, 0.05):
        glance = fit_glance(seen, thresholds, 160, loss)
        for (precision, confidence), (fitted, least) in zip(
            thresholds, glance.thresholds, strict=True
        ):
            tagged = seen.thumbnails[seen.photos >= confidence]
            assert precision == fitted
            assert (tagged < least).mean() <= loss
            assert (tagged <= least).mean() > loss


def test_few_tags_give_no_gate() -> None:
    seen = _seen()
    rare = float(np.sort(seen.photos)[-LEAST_TAGS + 1])
    assert fit_glance(seen, (Threshold(0.99, rare),), 160).thresholds == ()


def test_a_thumbnail_is_a_cameras() -> None:
    small = thumbnail(Image.new("RGB", (900, 1200), (200, 100, 50)))
    assert small.size == THUMBNAIL
    assert np.abs(np.asarray(small).astype(int) - (200, 100, 50)).max() < 8
