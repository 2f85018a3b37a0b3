"""maskkit demo."""

from pathlib import Path
from typing import Annotated

import typer

from maskkit.cli._options import DEFAULT_MODEL, OUTPUT_GROUP, ModelOption, check_picture, load_model


def demo(
    model: ModelOption = DEFAULT_MODEL,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Picture to write.", rich_help_panel=OUTPUT_GROUP)
    ] = Path("maskkit-demo.png"),
) -> None:
    """Show maskkit at work; needs no data and no network.

    The portrait comes with scikit-image; it is NASA's of the astronaut Eileen Collins, in the public
    domain. A mask is painted on a second copy, both are joined into one photo, and the faces in it are
    found and classified.

    Example: maskkit demo
    """
    import numpy as np
    import rich
    from skimage.data import astronaut

    from maskkit.augment import paint_mask

    check_picture(out)
    classifier = load_model(model)
    portrait = astronaut()
    masked = paint_mask(portrait, classifier.predict_faces(portrait)[0].landmarks, kind="surgical", random_state=5)
    photo = classifier.predict_faces(np.hstack([portrait, masked]))
    rich.print(photo)
    print(f"written: {photo.save(out)}")
