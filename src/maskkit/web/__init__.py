"""The page and its server: photos come in over HTTP, their faces go out as JSON.

Needs the extra ``serve``. Nothing that comes in is stored or logged.
"""

try:
    from maskkit.web._app import create_app
    from maskkit.web._server import make_server
except ModuleNotFoundError as exc:
    library = (exc.name or "").partition(".")[0]
    if library not in ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn"):
        raise
    raise ImportError(f"maskkit.web needs {library}; install it: pip install 'maskkit[serve]'") from exc
from maskkit.web._limits import Limits

__all__ = ["Limits", "create_app", "make_server"]
