"""Sinks, which pass the events of a video on.

The contract is `Sink`; the public names are listed in ``__init__.pyi``. Importing this package
connects to nothing: a sink does when a video is watched with it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
