from ._base import Backbone as Backbone
from .efficientnet_lite0 import EfficientNetLite0Backbone as EfficientNetLite0Backbone
from .resnet50 import ResNet50Backbone as ResNet50Backbone
from .timm import TimmBackbone as TimmBackbone
