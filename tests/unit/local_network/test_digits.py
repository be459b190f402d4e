"""What is trained on, and what is held out?"""

from pathlib import Path

import numpy as np
import pytest

from scripts.local.digits import FOLDS, Examples, fold_of, load_digits, load_examples


def test_every_picture_is_held_out_in_one_fold() -> None:
    labels = np.arange(1797) % 10
    folds = np.array([fold_of(labels, fold) for fold in range(FOLDS)])
    assert (folds.sum(0) == 1).all()


def test_folds_hold_a_fifth_of_each_class() -> None:
    labels = np.arange(1797) % 10
    for fold in range(FOLDS):
        counts = np.bincount(labels[fold_of(labels, fold)])
        assert all(abs(count - 1797 / 50) < 1 for count in counts)
        assert abs(counts.sum() - 1797 / 5) < 3


def test_pixels_enter_by_constants_that_need_nobodys_data() -> None:
    training, held_out = load_digits(0)
    assert len(training) + len(held_out) == 1797
    assert training.x.dtype == np.float32
    assert training.x.min() == np.float32(-5 / 6)
    assert training.x.max() == np.float32(11 / 6)


@pytest.mark.parametrize("rows", [1, 7])
def test_examples_come_back_from_their_file(rows: int, tmp_path: Path) -> None:
    examples = Examples(np.random.default_rng(0).random((rows, 64), np.float32), np.arange(rows) % 10)
    examples.save(tmp_path / "rows")
    back = load_examples(tmp_path / "rows")
    assert np.array_equal(back.x, examples.x)
    assert np.array_equal(back.y, examples.y)
