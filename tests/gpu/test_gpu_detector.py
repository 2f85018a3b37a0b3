"""maskkit's detector on a GPU."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torchvision.ops import box_iou

from maskkit.detectors import MaskkitDetector

pytestmark = pytest.mark.gpu


@pytest.fixture(params=["cuda", "mps"])
def device(request):
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[request.param]:
        pytest.skip(f"no {request.param} device")
    return request.param


def test_a_gpu_finds_the_faces_that_the_cpu_finds(device):
    portrait = skimage.data.astronaut()
    canvas = Image.new("RGB", (3000, 2000), "gray")
    for left, top in ((0, 0), (1200, 700), (2488, 1488)):
        canvas.paste(Image.fromarray(portrait), (left, top))
    close_up = np.ascontiguousarray(portrait[60:190, 165:280])
    images = [portrait, np.asarray(canvas), close_up, np.hstack([close_up, close_up]), np.zeros((1, 1, 3), np.uint8)]
    on_cpu = MaskkitDetector(device="cpu").detect_batch(images)
    on_gpu = MaskkitDetector(device=device).detect_batch(images)
    assert [len(faces) for faces in on_cpu] == [1, 3, 1, 2, 0]
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert len(ours) == len(theirs)
        # Cells of one face have nearly equal scores, so that rounding may choose another one.
        iou = box_iou(torch.from_numpy(ours.boxes_xyxy), torch.from_numpy(theirs.boxes_xyxy)).numpy()
        nearest = iou.argmax(axis=1) if len(ours) else []
        assert (iou.max(axis=1, initial=0) > 0.75).all()
        assert sorted(nearest) == list(range(len(theirs)))
        np.testing.assert_allclose(ours.landmarks, theirs.landmarks[nearest], atol=10)
        np.testing.assert_allclose(ours.scores, theirs.scores[nearest], atol=0.1)
