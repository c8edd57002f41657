"""Text similarity compares row with row, never all pairs."""

import numpy as np
import pytest

from lycoris_bench.scoring.metrics.text_similarity import text_similarity


def test_cosine_of_each_image_with_its_own_text(sets, cosine):
    images, text = sets[0], np.roll(sets[0], 1, axis=0) + 0.1
    values = text_similarity(images, text)
    assert values.dtype == np.float64
    expected = [cosine(z, t) for z, t in zip(images, text, strict=True)]
    np.testing.assert_allclose(values, expected, atol=1e-14)


def test_by_hand():
    """Along its text, at 60 degrees to it, and against it."""
    images = np.array([[2.0, 0.0], [1.0, 3.0**0.5], [0.0, 1.0]])
    text = np.array([[1.0, 0.0], [4.0, 0.0], [0.0, -3.0]])
    np.testing.assert_allclose(text_similarity(images, text), [1, 0.5, -1], atol=1e-15)


def test_swapping_two_texts_moves_the_value_but_a_joint_order_does_not(sets):
    images, text = sets[0], np.roll(sets[0], 1, axis=0)
    values = text_similarity(images, text)
    np.testing.assert_array_equal(text_similarity(images[::-1], text[::-1]), values[::-1])
    assert abs(text_similarity(images, text[::-1]) - values).max() > 0.01


def test_a_row_each():
    with pytest.raises(ValueError, match="2 images and text 1 rows"):
        text_similarity(np.ones((2, 3)), np.ones((1, 3)))
