"""Models on the Hugging Face Hub: the files of a model folder, none of which can run code."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskkit._files.download import OFFLINE, is_offline
from maskkit._files.model_folder import CARD_FILE, CONFIG_FILE, INT8_FILES, TENSOR_FILE, read_model
from maskkit.exceptions import MaskkitError, ModelFileError

# No other file of a repository is downloaded, and no other file of a folder is uploaded.
_FILES = [CONFIG_FILE, TENSOR_FILE, CARD_FILE, *INT8_FILES]


def fetch_model(repo_id: str, revision: str | None = None) -> Path:
    """Return a local copy of a model on the Hub, which is downloaded unless it is in the cache of the Hub.

    Raises ModelFileError if it cannot be downloaded. Its checksums are not checked yet.
    """
    from huggingface_hub import snapshot_download

    local = is_offline()
    hint = f"unset {OFFLINE} to download it" if local else "check the name USER/MODEL, the network, and HF_TOKEN"
    with hub_errors(f"{repo_id} cannot be read from the Hub", hint):
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=_FILES, local_files_only=local))


def push_model(folder: str | os.PathLike[str], repo_id: str, *, private: bool) -> str:
    """Upload a saved model as a new revision of a repository, which is created if it is missing; return its address.

    Raises ModelFileError if the folder is not a valid model, or cannot be uploaded.
    """
    from huggingface_hub import HfApi

    read_model(folder, lambda config, shapes: None)  # A damaged model is not published.
    if is_offline():
        raise ModelFileError(f"{folder} cannot be uploaded, because {OFFLINE} is set; unset it.")
    api = HfApi()
    hint = "check the name USER/MODEL, the network, and that `hf auth login` or HF_TOKEN lets you write there"
    with hub_errors(f"{folder} cannot be uploaded to {repo_id}", hint):
        address = str(api.create_repo(repo_id, private=private, exist_ok=True))
        message = "Upload a model of maskkit"
        api.upload_folder(repo_id=repo_id, folder_path=Path(folder), allow_patterns=_FILES, commit_message=message)
    return address


@contextmanager
def hub_errors(what: str, hint: str, error: type[MaskkitError] = ModelFileError) -> Iterator[None]:
    """Turn what the library raises into `error`, whose message says what failed, why, and what to do."""
    try:
        yield
    except Exception as exc:  # The library raises types of its own and of two HTTP clients.
        reason = " ".join(str(exc).split())[:300]
        raise error(f"{what} ({type(exc).__name__}: {reason}); {hint}.") from exc
