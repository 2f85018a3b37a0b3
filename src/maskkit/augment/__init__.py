"""Painted faces: masks on bare faces, and things that are no masks."""

from maskkit.augment._landmarks import TEMPLATE, find_landmarks
from maskkit.augment._masks import KINDS, WORN, paint_mask
from maskkit.augment._occluders import OCCLUDERS, paint_occluder

__all__ = ["paint_mask", "paint_occluder", "find_landmarks", "KINDS", "WORN", "OCCLUDERS", "TEMPLATE"]
