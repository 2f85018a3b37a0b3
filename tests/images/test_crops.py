"""Crops are square, centred on the face, and keep proportions at the edge."""

import numpy as np
import pytest

from maskkit._images.crop import crop_square

IMAGE = np.arange(20 * 30 * 3, dtype=np.uint32).reshape(20, 30, 3).astype(np.uint8)


def test_square_box_without_margin_is_cut_as_it_is():
    np.testing.assert_array_equal(crop_square(IMAGE, (5, 4, 15, 14), margin=1), IMAGE[4:14, 5:15])


def test_margin_grows_the_longer_side():
    assert crop_square(IMAGE, (10, 5, 14, 15), margin=1.5).shape == (15, 15, 3)


def test_crop_is_centred_on_the_box():
    np.testing.assert_array_equal(crop_square(IMAGE, (10, 5, 12, 15), margin=1), IMAGE[5:15, 6:16])


@pytest.mark.parametrize("box", [(-5, -5, 5, 5), (25, 15, 35, 25), (-40, -40, -30, -30)])
def test_beyond_the_edge_the_edge_is_repeated(box):
    crop = crop_square(IMAGE, box, margin=1)
    left, top, right, bottom = box
    padded = np.pad(IMAGE, ((50, 50), (50, 50), (0, 0)), mode="edge")
    np.testing.assert_array_equal(crop, padded[top + 50 : bottom + 50, left + 50 : right + 50])


def test_smallest_box_gives_one_pixel():
    assert crop_square(IMAGE, (3.2, 3.2, 3.4, 3.4)).shape == (1, 1, 3)
