"""ResNet-50, the default backbone."""

import torchvision
from sklearn.base import BaseEstimator
from torch import nn

from maskkit._files.download import download
from maskkit.backbones._base import Weights, download_hint, load_backbone_weights, read_state_dict

# V1, not V2: V2 was trained with label smoothing, mixup and long schedules, which help accuracy on
# ImageNet itself but hurt frozen features on other tasks (Kornblith et al. 2019, arXiv:1805.08974).
IMAGENET_URL = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.url
IMAGENET_SHA256 = "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"  # its start is in the file's name


class ResNet50Backbone(BaseEstimator):
    """ResNet-50 of torchvision, without its last layer.

    Notes
    -----
    `weights` may be ``"imagenet"`` (torchvision's, downloaded once, checked, and kept in the cache of
    torch), the path of a state dict in the format of torchvision or timm (they are the same), or None.

    Source: He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, 2016, arXiv:1512.03385.
    """

    _is_fixed = True  # see maskkit.backbones._base.is_fixed
    image_size = 224
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    n_features = 2048
    weights_info = "torchvision ResNet50_Weights.IMAGENET1K_V1 (BSD-3-Clause), downloaded from PyTorch"

    def build(self, weights: Weights) -> nn.Module:
        """Build the network: float32 (n, 3, H, W) to (n, 2048).

        Parameters
        ----------
        weights : path, {"imagenet"} or None

        Returns
        -------
        network : torch.nn.Module

        Raises
        ------
        WeightsError
            If the weights cannot be downloaded, read, or do not fit.
        """
        path, source = weights, str(weights)
        if weights == "imagenet":
            # Missing weights are reported before the network is made.
            hint = download_hint(f"a state dict of torchvision's or timm's resnet50 ({IMAGENET_URL})")
            path, source = download(IMAGENET_URL, IMAGENET_SHA256, hint=hint), IMAGENET_URL
        state = None if path is None else read_state_dict(path)
        network = torchvision.models.resnet50(weights=None)
        network.fc = nn.Identity()
        return network if state is None else load_backbone_weights(network, state, drop="fc", source=source)
