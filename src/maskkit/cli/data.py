"""maskkit data: look at data before training on them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from maskkit.cli._options import Format, FormatOption, SplitOption, choose_split, holds_photos, print_json

app = typer.Typer(help="Look at data before training on them.", no_args_is_help=True)

DataArgument = Annotated[
    Path, typer.Argument(help="Folder of face crops, or of photos with VOC annotations.", metavar="DATA")
]


@app.command()
def info(
    data: DataArgument,
    chart: Annotated[Path | None, typer.Option(help="Write a chart to this PNG file.")] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Count images by class and split, and show their sizes.

    Example: maskkit data info face-mask-12k --chart classes.png
    """
    from maskkit.datasets import describe

    description = describe(_load(data))
    if output is Format.TABLE:
        import rich

        rich.print(description)
    elif output is Format.JSON:
        print_json(description.to_dict())
    else:
        raise typer.BadParameter(f"{output.value!r}; data info prints table or json", param_hint="--format")
    if chart is not None:
        typer.echo(f"written: {description.save_chart(chart)}", err=True)


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

    loaded = _load(data)
    if not holds_photos(data):
        loaded = choose_split(loaded, split, default="train")
    picture = datasets.collage(loaded, n_columns=columns, n_rows=rows, blur=blur, random_state=seed)
    picture.save(out)
    typer.echo(f"written: {out}", err=True)


def _load(data: Path) -> Any:
    from maskkit import datasets

    return datasets.load_photos(data) if holds_photos(data) else datasets.load_faces(data)
