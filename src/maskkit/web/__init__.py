"""Web page and HTTP API that find and classify the faces in photos sent over HTTP.

Needs the extra ``serve``. Photos are neither stored nor logged.
"""

from maskkit._optional import require

for library in ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn"):
    require(library, "serve")

from maskkit.web._app import create_app  # noqa: E402
from maskkit.web._limits import Limits  # noqa: E402
from maskkit.web._server import make_server  # noqa: E402

__all__ = ["Limits", "create_app", "make_server"]
