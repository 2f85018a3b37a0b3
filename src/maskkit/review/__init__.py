"""Web page that shows the faces whose labels matter most, writes the answers to a table, and teaches them to a model.

Needs the extra ``review``. Pictures are neither moved nor changed, and nothing leaves the machine.
"""

from maskkit._optional import require

for library in ("fastapi", "starlette", "uvicorn", "skactiveml", "cleanlab", "imagehash"):
    require(library, "review")

from maskkit.review._app import create_app  # noqa: E402
from maskkit.review._faces import Face, detect_faces, list_annotated_faces, list_crops, match_answers  # noqa: E402
from maskkit.review._labels import FaceKey, LabelFile  # noqa: E402
from maskkit.review._queue import QueuedFace, order_faces  # noqa: E402
from maskkit.review._teach import Teacher  # noqa: E402

__all__ = [
    "Face",
    "FaceKey",
    "LabelFile",
    "QueuedFace",
    "Teacher",
    "create_app",
    "detect_faces",
    "list_annotated_faces",
    "list_crops",
    "match_answers",
    "order_faces",
]
