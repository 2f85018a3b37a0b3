"""Reporters, which write an evaluation somewhere.

The contract is `Reporter`; the public names are listed in ``__init__.pyi``. Importing this package
imports no tracker: each is imported when its reporter is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
