"""Where the files are that operations people copy: collector/ of the repository, which every wheel carries."""

from __future__ import annotations

from pathlib import Path


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
