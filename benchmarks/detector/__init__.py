"""Training of the bundled face detector, and its checks."""
