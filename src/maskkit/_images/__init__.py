"""Loading, cropping and preprocessing of images."""
