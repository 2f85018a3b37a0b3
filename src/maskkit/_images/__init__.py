"""Anything that a user calls an image, turned into the pixels that a network takes."""
