"""Heat maps of the pixels that a prediction depends on."""
