"""What lies on disk: model folders, cards, downloads and atomic writing."""
