"""The description of an export, from which another program can repeat every step, and which is in its files, too."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from maskkit._export.graphs import INPUT, OUTPUT
from maskkit._images.crop import MARGIN
from maskkit._images.preprocess import Preprocess
from maskkit._model.predictor import FacePredictor
from maskkit._text import to_json


def describe_export(predictor: FacePredictor, *, output_format: str, int8: bool) -> dict[str, Any]:
    """Return the specification of an export without its parity and files."""
    preprocess = predictor.embedder.backbone.preprocess
    size = preprocess.image_size
    return {
        "model": predictor.model_name,
        "maskkit": version("maskkit"),
        "format": output_format,
        "precision": "int8" if int8 else "float32",
        "input": {
            "name": INPUT,
            "shape": ["n", size, size, 3],
            "dtype": "uint8",
            "layout": "NHWC",
            "color": "RGB",
            **_describe_preparation(preprocess),
        },
        "output": {
            "name": OUTPUT,
            "shape": ["n", len(predictor.classes)],
            "dtype": "float32",
            "values": "softmax probabilities, one column per class in the order of classes",
        },
        "classes": predictor.classes.tolist(),
        "decision": {
            "label": "the class of the largest probability, the first of equal ones",
            "uncertain": "if the largest probability is below uncertain_below, or the longer side of the rounded and "
            "clipped box is below min_size_px",
        },
        "uncertain_below": predictor.rule.threshold,
        "min_size_px": predictor.rule.min_size_px,
    }


def _describe_preparation(preprocess: Preprocess) -> dict[str, Any]:
    """Return the steps from an image and the box of a face to the input of the network."""
    size = preprocess.image_size
    return {
        "image": "8-bit RGB, turned upright by its EXIF orientation",
        "rounding": "to the nearest integer, halves to the even one, as Python's round and numpy.rint",
        "box": "left, top, right, bottom in pixels of the image; right and bottom exclusive. Round the four numbers, "
        "then clip left and right to 0 ... width, and top and bottom to 0 ... height",
        "crop_margin": MARGIN,
        "crop": f"square around the box of a face, {MARGIN} times its longer side: side = max(1, round(crop_margin * "
        "max(right - left, bottom - top))); first column = round((left + right) / 2 - side / 2), first row = "
        "round((top + bottom) / 2 - side / 2)",
        "crop_outside": "edge",
        "crop_outside_meaning": "pixels outside the image repeat the nearest pixel of its edge, as numpy.pad with "
        "mode='edge'; they are not black",
        "resize_filter": "bilinear",
        "resize": f"the whole crop to {size} x {size} px, bilinear with antialiasing (Pillow's Image.resize with "
        "BILINEAR), in 8 bits",
        "normalization": {
            "in_graph": True,
            "formula": "(pixel / 255 - mean) / std",
            "mean": list(preprocess.mean),
            "std": list(preprocess.std),
        },
    }


def metadata_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of an exported file: its description, and the parts that programs look for, as text."""
    parts = {name: spec[name] for name in ("model", "maskkit", "classes", "uncertain_below", "min_size_px")}
    return {
        **{name: value if isinstance(value, str) else to_json(value) for name, value in parts.items()},
        # A dict from index to name is what detectors of Ultralytics hold, and several viewers show.
        "names": to_json(dict(enumerate(map(str, spec["classes"])))),
        "spec": to_json(spec),
    }
