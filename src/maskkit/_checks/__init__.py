"""Checks of values that come from users and files."""
