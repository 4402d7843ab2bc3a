"""Where the files are that operations people copy: collector/ of the repository, which every wheel carries."""

from __future__ import annotations

import shutil
from pathlib import Path

_NOT_COPIED = ("__pycache__", ".pyc")


def collector_files() -> Path:
    """
    Give the folder: beside the modules where it was installed from a wheel, else in the checkout that an editable install points to.

    Raises FileNotFoundError where there is neither.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "_collector", here.parents[1] / "collector"):
        if (folder / "elasticsearch" / "mappings.json").is_file():
            return folder
    raise FileNotFoundError(f"{here / '_collector'}: the files of collector/ are not there; install trackline from a wheel")


def copy_files(target: Path, *, overwrites: bool = False) -> tuple[list[Path], list[Path]]:
    """
    Copy all files into a folder, which is made. Give those that are there now as they are here, and those that differed and were kept.

    With ``overwrites`` none is kept. Raises OSError.
    """
    source = collector_files()
    written, kept = [], []
    for path in sorted(source.rglob("*")):
        if not path.is_file() or path.suffix in _NOT_COPIED or path.parent.name in _NOT_COPIED:
            continue
        copy = target / path.relative_to(source)
        if copy.exists() and not overwrites and copy.read_bytes() != path.read_bytes():
            kept.append(copy)
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(path.stat().st_mode & 0o777)
        written.append(copy)
    return written, kept
