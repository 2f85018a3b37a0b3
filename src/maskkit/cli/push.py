"""maskkit push."""

from pathlib import Path
from typing import Annotated

import typer

from maskkit.cli._options import flag


def push(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model.", metavar="MODEL")],
    repo: Annotated[str, typer.Argument(help="Name of the repository, USER/MODEL.", metavar="REPO")],
    public: Annotated[bool, flag("--public", "Let everybody see the model, if the repository is new.")] = False,
) -> None:
    """Upload a saved model to the Hugging Face Hub.

    A repository that is missing is created, private by default. In one that
    exists, the model becomes a new revision; earlier ones stay. Log in before
    with: hf auth login.

    Example: maskkit push model me/door
    """
    from maskkit._files.hub import push_model

    typer.echo(push_model(model, repo, private=not public))
