"""maskkit detects faces and classifies whether each wears a mask.

Importing the package imports neither torch nor scikit-learn: each public name is loaded when it is
first used. The names are listed in ``__init__.pyi``.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
