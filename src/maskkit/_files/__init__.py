"""Files: model folders, model cards, downloads and atomic writing."""
