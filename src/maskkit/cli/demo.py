"""maskkit demo."""

from maskkit.cli import _options as shared
from maskkit.cli._inputs import load_model
from maskkit.cli._outputs import check_picture, print_written


def demo(model: shared.ModelOption = shared.DEFAULT_MODEL, out: shared.PictureOption = None) -> None:
    """Classify two sample faces; needs no data and no network.

    The photo shows a portrait twice, the second time with a mask painted on.
    The portrait comes with scikit-image: the astronaut Eileen Collins, by NASA,
    in the public domain.

    Example: maskkit demo
    """
    import numpy as np
    import rich
    from skimage.data import astronaut

    from maskkit.augment import paint_mask

    target = check_picture(out, "maskkit-demo.png")
    classifier = load_model(model)
    portrait = astronaut()
    # The seed is fixed, so that the demo shows the same mask every time.
    masked = paint_mask(portrait, classifier.predict_faces(portrait)[0].landmarks, kind="surgical", random_state=5)
    photo = classifier.predict_faces(np.hstack([portrait, masked]))
    rich.print(photo)
    print_written(photo.save(target))
