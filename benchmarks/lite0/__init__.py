"""Training of the bundled classifier, maskkit-lite0, and its evaluation on held-out photos."""
