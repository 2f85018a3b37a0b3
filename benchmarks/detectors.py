"""Recall and precision of each detector: python benchmarks/detectors.py PHOTOS [N_PHOTOS_OF_DLIB_CNN].

PHOTOS is a folder with Pascal VOC annotations. Detectors that cannot be loaded are reported and left out.
"""

import sys

import rich

from maskkit import MaskClassifier, evaluate_photos
from maskkit._display.tables import to_rich
from maskkit.datasets import load_photos
from maskkit.detectors import CenterFaceDetector, DlibCnnDetector, DlibHogDetector, YuNetDetector
from maskkit.exceptions import WeightsError
from maskkit.reporters import Table

photos = load_photos(sys.argv[1])
n_slow = int(sys.argv[2]) if len(sys.argv) > 2 else 60

detectors = [(CenterFaceDetector(long_side_px=px), len(photos)) for px in (640, 800, 1024)]
detectors += [(DlibHogDetector(), len(photos)), (DlibCnnDetector(), n_slow), (YuNetDetector(), len(photos))]

rows = []
for detector, n_photos in detectors:
    name = repr(detector).replace("Detector", "")
    model = MaskClassifier.from_pretrained("maskkit-lite0", detector=detector)
    try:
        found = evaluate_photos(model, photos[:n_photos], n_resamples=200)
    except WeightsError as error:
        print(f"{name} is left out: {error}")
        continue
    metrics = found.metrics()
    rows.append(
        (name, n_photos, metrics["detection_recall"], metrics["detection_precision"], metrics["detection_ap50"])
    )

rich.print(to_rich(Table("Detectors", ("detector", "photos", "recall", "precision", "AP@0.5"), tuple(rows))))
