"""maskkit data: look at data before training on them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from maskkit.cli._options import SplitOption, check_picture, choose_split, holds_photos, print_json, refuse_for_photos


class Format(StrEnum):
    """How a description is printed."""

    TABLE = "table"
    JSON = "json"


app = typer.Typer(help="Look at data before training on them.", no_args_is_help=True)

DataArgument = Annotated[
    Path, typer.Argument(help="Folder of face crops, or of photos with VOC annotations.", metavar="DATA")
]


@app.command()
def info(
    data: DataArgument,
    chart: Annotated[Path | None, typer.Option(help="Write a chart to this PNG file.")] = None,
    output: Annotated[Format, typer.Option("--format", "-f", help="How to print the description.")] = Format.TABLE,
) -> None:
    """Count images by class and split, and show their sizes.

    Example: maskkit data info face-mask-12k --chart classes.png
    """
    from maskkit.datasets import describe

    description = describe(_load(data))
    if output is Format.TABLE:
        import rich

        rich.print(description)
    else:
        print_json(description.to_dict())
    if chart is not None:
        typer.echo(f"written: {description.save_chart(chart)}", err=True)


@app.command()
def audit(
    data: Annotated[Path, typer.Argument(help="Folder of face crops.", metavar="DATA")],
    out: Annotated[Path | None, typer.Option(help="Write pictures of copies and suspects into this folder.")] = None,
    seed: Annotated[int, typer.Option(help="Seeds the folds.")] = 0,
    output: Annotated[Format, typer.Option("--format", "-f", help="How to print what was found.")] = Format.TABLE,
) -> None:
    """Look for copies, leaks between splits, wrong labels, and classes that something else tells. Changes no file.

    Example: maskkit data audit face-mask-12k --out audit
    """
    from maskkit import datasets

    if holds_photos(data):
        raise typer.BadParameter("holds annotated photos; audit takes face crops", param_hint="DATA")
    found = datasets.audit(datasets.load_faces(data, shuffle=False), random_state=seed)
    if output is Format.TABLE:
        import rich

        rich.print(found)
    else:
        print_json(found.to_dict())
    if out is not None:
        typer.echo(f"written: {found.save_pictures(out)}", err=True)


@app.command()
def collage(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG file to write.")] = Path("collage.png"),
    split: SplitOption = None,
    columns: Annotated[int, typer.Option(min=1, help="Tiles in a row.")] = 6,
    rows: Annotated[int, typer.Option(min=1, help="Rows of tiles.")] = 4,
    blur: Annotated[bool, typer.Option("--blur", help="Make the faces unrecognisable.")] = False,
    seed: Annotated[int, typer.Option(help="Chooses the faces.")] = 0,
) -> None:
    """Show faces of every class in one picture.

    Example: maskkit data collage face-mask-12k --split Train --out collage.png
    """
    from maskkit import datasets

    check_picture(out)
    loaded = _load(data)
    if holds_photos(data):
        refuse_for_photos("--split", split)
    else:
        loaded = choose_split(loaded, split, default="train")
    picture = datasets.collage(loaded, n_columns=columns, n_rows=rows, blur=blur, random_state=seed)
    picture.save(out)
    typer.echo(f"written: {out}", err=True)


def _load(data: Path) -> Any:
    from maskkit import datasets

    return datasets.load_photos(data) if holds_photos(data) else datasets.load_faces(data)
