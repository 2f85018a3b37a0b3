"""Data sets: load, describe, draw and audit folders of face crops and of annotated photos."""

from maskkit._images.listing import find_images_below
from maskkit.datasets._audit import Audit, audit
from maskkit.datasets._coco import load_coco
from maskkit.datasets._description import Description, collage, describe
from maskkit.datasets._faces import load_faces
from maskkit.datasets._hugging_face import from_hugging_face
from maskkit.datasets._photos import AnnotatedPhoto
from maskkit.datasets._table import load_table
from maskkit.datasets._voc import load_photos
from maskkit.datasets._yolo import load_yolo

__all__ = [
    "load_faces",
    "load_photos",
    "load_table",
    "load_coco",
    "load_yolo",
    "from_hugging_face",
    "describe",
    "audit",
    "Audit",
    "collage",
    "find_images_below",
    "AnnotatedPhoto",
    "Description",
]
