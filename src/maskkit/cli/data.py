"""maskkit data: info, audit, collage and download."""

import os
from pathlib import Path
from typing import Annotated

import typer

from maskkit._text import escape_text
from maskkit.cli import _options as shared
from maskkit.cli._inputs import are_photos, choose_split, load_data
from maskkit.cli._options import OUTPUT_GROUP, flag, option, out_option
from maskkit.cli._outputs import check_outside, check_picture, print_results, print_written

app = typer.Typer(help="Download and inspect data before training.", no_args_is_help=True, rich_markup_mode="rich")


@app.command()
def info(
    data: shared.DataArgument,
    max_pixels: shared.MaxPixelsOption = None,
    plots: shared.PlotsOption = None,
    output: shared.FormatOption = "table",
) -> None:
    """Count images per class and split, and show their sizes.

    Example: maskkit data info faces --plots plots
    """
    from maskkit._files.outputs import find_free
    from maskkit.datasets import describe

    description = describe(load_data(data, outputs=[plots]))
    print_results(output, table=description, document=description.to_dict(), rows=description.rows())
    if plots is not None:
        print_written(description.save_chart(find_free(plots / "data.png")))


@app.command()
def audit(
    data: Annotated[Path, typer.Argument(help="Face crops in one folder per class, or their table.", metavar="DATA")],
    max_pixels: shared.MaxPixelsOption = None,
    seed: shared.SeedOption = 0,
    plots: shared.PlotsOption = None,
    output: shared.FormatOption = "table",
) -> None:
    """Find duplicates, leakage between splits and label errors.

    It also measures how well brightness, size or file type alone predict the
    class. No file is changed. CSV and JSON Lines have one row per image, with
    its group of duplicates. --plots writes pictures of duplicates and possible
    label errors.

    Example: maskkit data audit faces --plots audit
    """
    from maskkit import datasets

    # In file order, so that the same data give the same report.
    loaded = load_data(data, outputs=[plots], shuffle=False)
    if are_photos(loaded):
        raise typer.BadParameter("contains annotated photos; audit needs face crops", param_hint="DATA")
    found = datasets.audit(loaded, random_state=seed)
    document = found.to_dict()
    print_results(output, table=found, document=document, rows=document["images"])
    if plots is not None:
        print_written(found.save_pictures(os.fspath(plots)))


@app.command()
def collage(
    data: shared.DataArgument,
    split: shared.TrainSplitOption = None,
    max_pixels: shared.MaxPixelsOption = None,
    seed: shared.SeedOption = 0,
    out: shared.PictureOption = None,
    columns: Annotated[int, option("N", "Number of columns.", OUTPUT_GROUP, min=1)] = 6,
    rows: Annotated[int, option("N", "Number of rows.", OUTPUT_GROUP, min=1)] = 4,
    width: Annotated[int | None, option("PX", "Width of the picture, with --height.", OUTPUT_GROUP, min=1)] = None,
    height: Annotated[int | None, option("PX", "Height of the picture, with --width.", OUTPUT_GROUP, min=1)] = None,
    captions: Annotated[
        bool, flag("--captions/--no-captions", "Write the names of the classes under the faces.", OUTPUT_GROUP)
    ] = True,
    blur: Annotated[bool, flag("--blur", "Blur the faces.", OUTPUT_GROUP)] = False,
) -> None:
    """Draw faces of every class in one picture.

    Example: maskkit data collage faces --split Train --out collage.png
    """
    from maskkit import datasets
    from maskkit._files.outputs import save_picture

    target = check_picture(out, "collage.png")
    check_outside(target, data)
    if (width is None) != (height is None):
        raise typer.BadParameter("give both or neither", param_hint="--width and --height")
    size = None if width is None or height is None else (width, height)
    faces = choose_split(load_data(data), split, default="train")
    picture = datasets.collage(
        faces, n_columns=columns, n_rows=rows, size=size, captions=captions, blur=blur, random_state=seed
    )
    print_written(save_picture(picture, target))


@app.command()
def download(
    repo: Annotated[str, typer.Argument(help="Name of the data set, USER/DATASET.", metavar="REPO")],
    out: Annotated[Path, out_option("DIR", "New folder to write the data to.")],
    revision: Annotated[str | None, option("REV", "Branch, tag or commit, by default the newest.")] = None,
    yes: Annotated[bool, flag("--yes", "Download without asking whether the license suits you.")] = False,
) -> None:
    """Download a data set of the Hub, after showing its license.

    The Hub is that of Hugging Face. Pictures, tables and archives are
    downloaded, programs are left out. The folder appears once the checksum
    of each file was checked; an interrupted download goes on where it stopped.

    Example: maskkit data download somebody/faces --out faces
    """
    from maskkit._files.hub_data import check_new_folder, download_data_set, find_data_set

    check_new_folder(out)
    found = find_data_set(repo, revision)
    left_out = f"; {found.n_left_out:,} others are left out" if found.n_left_out else ""
    for name, text in (
        ("source", found.address),
        ("license", found.license or "not named: ask its authors before you use it"),
        ("files", f"{len(found.files):,}, {found.n_bytes / 1e6:,.1f} MB{left_out}"),
    ):
        typer.echo(escape_text(f"{name:8} {text}"), err=True)
    if not yes:
        typer.confirm(f"Download to {escape_text(str(out))}?", abort=True, err=True)
    print_written(download_data_set(found, out))
