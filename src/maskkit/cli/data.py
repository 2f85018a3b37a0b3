"""maskkit data: look at data before training on them."""

from pathlib import Path
from typing import Annotated

import typer

from maskkit.cli._help import GroupHelp, VerbHelp
from maskkit.cli._options import (
    DATA_GROUP,
    OUTPUT_GROUP,
    Format,
    FormatOption,
    TrainSplitOption,
    check_folder_to_write,
    check_picture,
    choose_split,
    holds_photos,
    load_data,
    print_results,
    refuse_for_photos,
)

app = typer.Typer(
    help="Look at data before training on them.", cls=GroupHelp, no_args_is_help=True, rich_markup_mode=None
)

DataArgument = Annotated[
    Path, typer.Argument(help="Folder of face crops, or of photos with VOC annotations.", metavar="DATA")
]


@app.command(cls=VerbHelp)
def info(
    data: DataArgument,
    chart: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a chart to this PNG, SVG or PDF.", rich_help_panel=OUTPUT_GROUP),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write it into this folder, as data.png.", rich_help_panel=OUTPUT_GROUP),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Count images by class and split, and show their sizes.

    Example: maskkit data info faces --chart classes.png
    """
    from maskkit.datasets import describe

    check_folder_to_write(plots, "--plots")
    description = describe(load_data(data))
    print_results(output, table=description, document=description.to_dict(), rows=description.rows())
    for file in (chart, plots and plots / "data.png"):
        if file is not None:
            typer.echo(f"written: {description.save_chart(file)}", err=True)


@app.command(cls=VerbHelp)
def audit(
    data: Annotated[Path, typer.Argument(help="Folder of face crops.", metavar="DATA")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--plots",
            "--out",
            "-o",
            metavar="DIR",
            help="Write pictures of copies and suspects into this folder.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seeds the folds.", rich_help_panel=DATA_GROUP)] = 0,
    output: FormatOption = Format.TABLE,
) -> None:
    """Look for copies, leaks and wrong labels; changes no file.

    Leaks are copies in two splits. It also tells how far brightness, size or file type alone give the
    class away. In CSV and JSON Lines each image has a row, with the group of copies that it is in.

    Example: maskkit data audit faces --plots audit
    """
    from maskkit import datasets

    check_folder_to_write(out, "--plots")
    if holds_photos(data):
        raise typer.BadParameter("holds annotated photos; audit takes face crops", param_hint="DATA")
    found = datasets.audit(datasets.load_faces(data, shuffle=False), random_state=seed)
    document = found.to_dict()
    print_results(output, table=found, document=document, rows=document["images"])
    if out is not None:
        typer.echo(f"written: {found.save_pictures(out)}", err=True)


@app.command(cls=VerbHelp)
def collage(
    data: DataArgument,
    split: TrainSplitOption = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Chooses the faces.", rich_help_panel=DATA_GROUP)] = 0,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Picture to write.", rich_help_panel=OUTPUT_GROUP),
    ] = Path("collage.png"),
    columns: Annotated[int, typer.Option(min=1, metavar="N", help="Tiles in a row.", rich_help_panel=OUTPUT_GROUP)] = 6,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="Rows of tiles.", rich_help_panel=OUTPUT_GROUP)] = 4,
    blur: Annotated[
        bool, typer.Option("--blur", help="Make the faces unrecognisable.", rich_help_panel=OUTPUT_GROUP)
    ] = False,
) -> None:
    """Show faces of every class in one picture.

    Example: maskkit data collage faces --split Train --out collage.png
    """
    from maskkit import datasets

    check_picture(out)
    loaded = load_data(data)
    if holds_photos(data):
        refuse_for_photos("--split", split)
    else:
        loaded = choose_split(loaded, split, default="train")
    picture = datasets.collage(loaded, n_columns=columns, n_rows=rows, blur=blur, random_state=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(out)
    typer.echo(f"written: {out}", err=True)
