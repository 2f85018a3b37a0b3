"""Networks that turn face crops into features."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskkit.backbones._base import Backbone
    from maskkit.backbones.efficientnet_lite0 import EfficientNetLite0Backbone
    from maskkit.backbones.resnet50 import ResNet50Backbone
    from maskkit.backbones.timm import TimmBackbone

_HOMES = {
    "Backbone": "_base",
    "EfficientNetLite0Backbone": "efficientnet_lite0",
    "ResNet50Backbone": "resnet50",
    "TimmBackbone": "timm",
}

__all__ = ["Backbone", "EfficientNetLite0Backbone", "ResNet50Backbone", "TimmBackbone"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
