"""Data sets on the Hugging Face Hub: looked at before they are downloaded, and checked afterwards."""

import glob
import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from maskkit._files.download import OFFLINE, is_offline
from maskkit._files.hub import hub_errors
from maskkit._files.outputs import check_output_folder
from maskkit._images.formats import has_image_ending
from maskkit._images.hashing import hash_file
from maskkit.exceptions import DataError, OutputError

# What maskkit and the library datasets read, and archives of it; a repository may hold programs, too.
_ENDINGS = {
    ".csv",
    ".gz",
    ".json",
    ".jsonl",
    ".md",
    ".parquet",
    ".tar",
    ".tsv",
    ".txt",
    ".xml",
    ".yaml",
    ".yml",
    ".zip",
}


@dataclass(frozen=True, slots=True)
class HubDataSet:
    """A revision of a data set on the Hub.

    `files` are the sizes in bytes and the checksums of the files that would be downloaded: SHA-256 of large files, and
    of the others the identifier of Git, which is the SHA-1 of a header and the content. `n_left_out` is the number of
    others, such as programs. `license` is None if the card names none.
    """

    repo_id: str
    address: str
    commit: str
    license: str | None
    files: dict[str, tuple[int, str]] = field(repr=False)
    n_left_out: int = 0

    @property
    def n_bytes(self) -> int:
        """Number of bytes of the files."""
        return sum(size for size, _ in self.files.values())


def find_data_set(repo_id: str, revision: str | None = None) -> HubDataSet:
    """Ask the Hub for a data set; raise DataError if it cannot be read, or has no file that maskkit could use."""
    from huggingface_hub import HfApi, constants

    if is_offline():
        raise DataError(f"{repo_id} cannot be read from the Hub, because {OFFLINE} is set; unset it.")
    hint = "check the name USER/DATASET, the network, and HF_TOKEN"
    with hub_errors(f"{repo_id} cannot be read from the Hub", hint, DataError):
        info = HfApi().dataset_info(repo_id, revision=revision, files_metadata=True)
    # A file without any checksum fails its check after the download.
    found = {
        file.rfilename: (file.size or 0, file.lfs.sha256 if file.lfs else file.blob_id or "")
        for file in info.siblings or ()
    }
    files = {name: entry for name, entry in found.items() if _is_data(name)}
    if not files:
        raise DataError(f"{repo_id}: none of its {len(found)} files is a picture, a table or an archive.")
    named = info.card_data.get("license") if info.card_data else None
    names = ", ".join(named) if isinstance(named, list) else named
    address = f"{constants.ENDPOINT}/datasets/{repo_id}/tree/{info.sha}"
    return HubDataSet(repo_id, address, str(info.sha), names, files, len(found) - len(files))


def download_data_set(found: HubDataSet, folder: str | os.PathLike[str]) -> Path:
    """Download a data set to a new folder, which appears once the checksum of each file was checked.

    The files are collected in a hidden folder beside it, from which an interrupted download goes on. Raises OutputError
    if the folder exists, DataError if the download fails or a checksum differs.
    """
    from huggingface_hub import snapshot_download

    folder = check_new_folder(folder)
    part = folder.with_name(f".{folder.name}-{found.commit[:12]}.part")
    with hub_errors(f"{found.repo_id} cannot be downloaded", "run the same command again to go on", DataError):
        snapshot_download(
            found.repo_id,
            repo_type="dataset",
            revision=found.commit,
            local_dir=part,
            allow_patterns=list(map(glob.escape, found.files)),
        )
    for name, (_, checksum) in found.files.items():
        if _hash(part / name, len(checksum)) != checksum:
            (part / name).unlink(missing_ok=True)
            raise DataError(
                f"{found.repo_id}: {name} has another checksum than the Hub names ({checksum[:12]}); it was removed. "
                f"Run the same command again to download it once more."
            )
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the library's own notes
    part.rename(check_new_folder(folder))
    return folder


def check_new_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a path; raise OutputError if it is taken, or cannot be that of a folder."""
    folder = check_output_folder(folder)
    if os.path.lexists(folder):
        raise OutputError(f"{folder}: exists; choose the name of a new folder.")
    return folder


def _is_data(name: str) -> bool:
    path = PurePosixPath(name)
    is_inside = not path.is_absolute() and ".." not in path.parts
    return is_inside and (has_image_ending(path) or path.suffix.lower() in _ENDINGS)


def _hash(path: Path, length: int) -> str | None:
    """Return the checksum of a file, SHA-256 or that of Git by the length of its hexadecimal form."""
    if not path.is_file():
        return None
    if length == 64:
        return hash_file(path)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
