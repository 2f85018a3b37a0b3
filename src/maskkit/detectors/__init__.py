"""Face detectors.

The contract is `Detector`, which returns `Faces`; the public names are listed in ``__init__.pyi``.
Importing this package imports no backend library: each is imported when its detector is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
