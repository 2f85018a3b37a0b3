"""The architectures of timm, as ``backbone="timm:NAME"``."""

from contextlib import suppress
from functools import cache
from pathlib import Path

import timm
import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import repo_folder_name
from sklearn.base import BaseEstimator
from torch import nn

from maskkit._files.download import OFFLINE, is_offline
from maskkit.backbones._base import Weights, download_hint, load_backbone_weights, read_state_dict
from maskkit.exceptions import PluginError, WeightsError


class TimmBackbone(BaseEstimator):
    """A network of the timm library, without its classifier.

    Parameters
    ----------
    name : str
        Name of the architecture in timm, such as ``"mobilenetv3_small_100"``.

    Raises
    ------
    PluginError
        On first use, if timm knows no such architecture.

    Notes
    -----
    `weights` may be ``"imagenet"`` (timm downloads its default pretrained weights from the Hugging Face hub; their
    training data and license differ by model), the path of a state dict in timm's format, or None.
    """

    def __init__(self, name: str):
        self.name = name

    @property
    def _config(self) -> timm.models.PretrainedCfg:
        config = timm.get_pretrained_cfg(self.name) if timm.is_model(self.name) else None
        if config is None:
            near = timm.list_models(f"*{self.name}*")[:5]
            raise PluginError(
                f"backbone 'timm:{self.name}' is unknown to timm {timm.__version__}; "
                f"{'similar names: ' + ', '.join(near) if near else 'see timm.list_models()'}."
            )
        return config

    @property
    def image_size(self) -> int:
        """Side of the square input, in pixels."""
        # Not test_input_size, which is larger: faces are small.
        return int(self._config.input_size[-1])

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of each channel, range 0 to 1."""
        return tuple(self._config.mean)

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of each channel, range 0 to 1."""
        return tuple(self._config.std)

    @property
    def n_features(self) -> int:
        """Number of features per image."""
        return _count_features(self.name)

    @property
    def weights_info(self) -> str:
        """Source of the pretrained weights."""
        return f"timm {self.name}, Hugging Face hub {self._config.hf_hub_id or 'none'}"

    def build(self, weights: Weights) -> nn.Module:
        """Build the network: float32 (n, 3, H, W) to (n, n_features).

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
        classifier = self._config.classifier
        if weights != "imagenet":
            network = timm.create_model(self.name, pretrained=False, num_classes=0)
            if weights is None:
                return network
            return load_backbone_weights(network, read_state_dict(weights), drop=classifier or (), source=str(weights))
        hint = download_hint(f"a state dict of timm's {self.name}")
        try:
            if is_offline():
                raise OSError(f"{OFFLINE} is set")
            self._check_reachable()
            return timm.create_model(self.name, pretrained=True, num_classes=0)
        except Exception as exc:  # the hub's client raises exceptions of several libraries
            raise WeightsError(
                f"the ImageNet weights of 'timm:{self.name}' cannot be downloaded ({exc}); {hint}."
            ) from exc

    def _check_reachable(self) -> None:
        """Raise the error of the hub's client if the weights are not cached and the hub does not answer.

        timm's download, which takes no number of attempts, would try again for most of a minute.
        """
        hub_id = (self._config.hf_hub_id or "").partition("@")[0]
        folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=hub_id, repo_type="model"))
        if hub_id and not folder.exists():
            with suppress(HfHubHTTPError):  # an answer, even if it is that there is no such file
                get_hf_file_metadata(hf_hub_url(hub_id, "config.json"))


@cache
def _count_features(name: str) -> int:
    """Return the number of features of an architecture, without random numbers and without memory."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        network = timm.create_model(name, pretrained=False, num_classes=0)
    # Some networks end in a head that widens what timm calls their features.
    return int(getattr(network, "head_hidden_size", None) or network.num_features)
