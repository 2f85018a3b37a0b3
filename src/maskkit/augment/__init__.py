"""Painting of masks, and of other objects, on faces."""

from maskkit.augment._landmarks import TEMPLATE, find_landmarks
from maskkit.augment._masks import KINDS, WORN, paint_mask
from maskkit.augment._occluders import OCCLUDERS, paint_occluder

__all__ = ["paint_mask", "paint_occluder", "find_landmarks", "KINDS", "WORN", "OCCLUDERS", "TEMPLATE"]
