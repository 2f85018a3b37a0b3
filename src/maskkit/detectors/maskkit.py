"""maskkit's own face detector, the default."""

import os
from pathlib import Path

from safetensors import SafetensorError

from maskkit._files.tensors import check_weights, read_shapes, read_tensors, shapes_of
from maskkit.detectors._heatmap import HeatmapDetector
from maskkit.detectors._network import FaceNetwork, make_network
from maskkit.detectors._weights import check_weights_file
from maskkit.exceptions import WeightsError

_WEIGHTS = Path(__file__).parents[1] / "pretrained" / "maskkit-faces" / "model.safetensors"


def read_weights(path: str | os.PathLike[str]) -> FaceNetwork:
    """Read the weights of the face network; raise WeightsError if the file is not one of them."""
    network = make_network()
    shapes = read_shapes(path)
    try:
        if shapes is not None:  # compared first, because the file may state tensors of any size
            check_weights(shapes_of(network), shapes, os.fspath(path))
        network.load_state_dict({name: tensor.float() for name, tensor in read_tensors(path).items()}, assign=True)
    except (SafetensorError, RuntimeError) as exc:
        raise WeightsError(
            f"{os.fspath(path)} does not hold the weights of the face network ({type(exc).__name__}); check the path."
        ) from exc
    return network


class MaskkitDetector(HeatmapDetector):
    """CenterFace's network, trained further on masked faces, small faces and faces that fill the picture.

    The network predicts a heat map of face centers, and the size and five landmarks of each face. A box reaches from
    the brow to the chin and includes the mask. The image is searched at several scales, in tiles if it is large, and
    what they find is merged.

    On a CPU, OpenVINO computes, in bfloat16 where the processor supports it, else in float32; on a GPU, PyTorch.

    Parameters
    ----------
    long_sides_px : "auto", int or sequence of int, default="auto"
        Long sides to which images are scaled, each at least 32. Larger values find smaller faces and take longer.
        ``"auto"``: so that the largest possible face has 240 px, then 768 px; and larger ones for images that have more
        detail, up to `max_pixels`. The largest possible face is as long as the image, or 1.5 times its shorter side.
    threshold : float, default=0.4
        Minimum score of a face, 0 to 1; at the smallest scale, 0.375 times that for a face of more than 0.4 of the
        largest one that the picture can hold.
    nms_iou : float, default=0.3
        Intersection over union, 0 to 1, above which one of two overlapping boxes is dropped (non-maximum suppression).
        A box of which more than half lies in another is dropped in any case.
    max_pixels : int, default=5_000_000
        Number of pixels up to which ``"auto"`` scales an image. It bounds the time for large images.
    weights : path, optional
        Path to the network's weights as a safetensors file; by default those that ship with maskkit.
    device : str, default="auto"
        Device that computes: ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    n_threads : None or {1}, default=None
        Number of threads of one call on a CPU: None for all cores, fastest for one image at a time; 1 for calls
        from several threads, which together are faster this way.

    Notes
    -----
    Source of the network: Xu, Yan, Yang, Cao: CenterFace: Joint Face Detection and Alignment Using Face as Point,
    2019, arXiv:1911.03599.
    """

    _large_face_factor = 0.375
    _read_network = staticmethod(read_weights)

    @staticmethod
    def _find_weights() -> str:
        return check_weights_file(_WEIGHTS)
