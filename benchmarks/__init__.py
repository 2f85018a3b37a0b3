"""Measurements and training scripts of the maintainers; not part of the wheel."""
