"""What the subcommands say: the answer on stdout, complaints on stderr."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def complain(message: str) -> None:
    """Say on stderr what is wrong, behind the command's name; whatever is in it is harmless on a terminal."""
    from trackline.terminal import printable

    print(f"trackline: {printable(message)}", file=sys.stderr)


def tell(render: Callable[[int, bool], str]) -> None:
    """Print what ``render`` makes for the terminal's width in columns and whether it wants colours."""
    from trackline.terminal import wants_color

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    text = render(shutil.get_terminal_size((120, 24)).columns, wants_color(sys.stdout))
    # Row by row: under PYTHONUNBUFFERED one large write that breaks off half-way raises nothing.
    sys.stdout.writelines(text.splitlines(keepends=True))
