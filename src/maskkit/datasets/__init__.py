"""Data sets: load, describe, draw and audit folders of face crops and of annotated photos."""

from maskkit._images.listing import find_images_below
from maskkit.datasets._audit import Audit, audit
from maskkit.datasets._description import Description, collage, describe
from maskkit.datasets._faces import load_faces
from maskkit.datasets._photos import AnnotatedPhoto, load_photos
from maskkit.datasets._table import load_table

__all__ = [
    "load_faces",
    "load_photos",
    "load_table",
    "describe",
    "audit",
    "Audit",
    "collage",
    "find_images_below",
    "AnnotatedPhoto",
    "Description",
]
