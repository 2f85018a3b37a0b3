"""Backbones: networks that compute features of face crops.

The contract is `Backbone`; the public names are listed in ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
