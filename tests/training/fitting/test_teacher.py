"""Out-of-fold targets: mislabelled photos are found, near-duplicates never teach each other."""

from __future__ import annotations

import numpy as np
import pytest

from training.fitting.teacher import teach


def clusters(count: int = 3000, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around a corner for each class, unit length: (count, 8), and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    points = np.eye(8)[labels] + rng.normal(0, 0.08, (count, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float16), labels.astype(np.intp)


@pytest.mark.slow
def test_wrong_labels_are_found_and_no_others() -> None:
    points, labels = clusters()
    wrong = np.arange(0, 3000, 100)
    noisy = labels.copy()
    noisy[wrong] = (labels[wrong] + 1) % 3
    lesson = teach(points, noisy, np.arange(3000), [str(n) for n in range(3000)])
    found = set(lesson.excluded)
    assert len(found & set(wrong)) >= 0.7 * len(
        wrong
    )  # a likely wrong label is left out, an unlikely one kept
    assert len(found - set(wrong)) <= 3
    assert np.allclose(lesson.soft.sum(1), 1, atol=1e-3)


def test_photos_of_other_splits_get_no_target() -> None:
    points, labels = clusters()
    train = np.arange(0, 3000, 2)
    lesson = teach(points, labels, train, [str(n) for n in range(3000)])
    assert not lesson.soft[1::2].any()
    assert lesson.soft[train].sum(1).min() > 0.99
    assert set(lesson.excluded) <= set(train)


@pytest.mark.slow
def test_near_duplicates_do_not_vouch_for_each_other() -> None:
    """Copies of one photo share a wrong label, and a detail that no other photo has. Apart, each is
    vouched for by the others; in one group none is."""
    points, labels = clusters(seed=1)
    copies = np.arange(0, 300, 3)
    points[copies] = np.array([0.7, 0, 0, 0, 0, 0, 0, 0.7])
    labels[copies] = 1
    apart = [str(n) for n in range(3000)]
    together = ["copies" if n in copies else name for n, name in enumerate(apart)]
    own = {
        name: teach(points, labels, np.arange(3000), groups).soft[copies, 1].mean()
        for name, groups in (("apart", apart), ("together", together))
    }
    assert own["together"] < own["apart"] - 0.2
