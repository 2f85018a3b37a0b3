"""Recall and precision of each detector on held-out photos: python -m benchmarks.detectors PHOTOS [N_OF_DLIB_CNN].

PHOTOS is the folder face-mask-photos, of which a fifth was held out from the training of the bundled models. Detectors
that cannot be loaded are reported and left out.
"""

import sys

import rich

from benchmarks.detector.labels import REPORT
from maskkit import MaskClassifier, evaluate_photos
from maskkit.datasets import load_photos
from maskkit.detectors import CenterFaceDetector, DlibCnnDetector, DlibHogDetector, MaskkitDetector, YuNetDetector
from maskkit.exceptions import MissingLibraryError, WeightsError
from maskkit.reporters import Table

photos = [photo for index, photo in enumerate(load_photos(sys.argv[1])) if index % 10 in REPORT]
n_slow = int(sys.argv[2]) if len(sys.argv) > 2 else 60

detectors = [
    (kind(long_sides_px=sides), len(photos))
    for kind in (MaskkitDetector, CenterFaceDetector)
    for sides in ("auto", 768)
]
detectors += [(DlibHogDetector(), len(photos)), (DlibCnnDetector(), n_slow), (YuNetDetector(), len(photos))]

rows = []
for detector, n_photos in detectors:
    name = repr(detector).replace("Detector", "")
    model = MaskClassifier.from_pretrained("maskkit-lite0", detector=detector)
    try:
        found = evaluate_photos(model, photos[:n_photos], n_resamples=200)
    except (MissingLibraryError, WeightsError) as error:
        print(f"{name} is left out: {error}")
        continue
    metrics = found.metrics()
    rows.append(
        (name, n_photos, metrics["detection_recall"], metrics["detection_precision"], metrics["detection_ap50"])
    )

rich.print(Table("Detectors", ("detector", "photos", "recall", "precision", "AP@0.5"), tuple(rows)))
