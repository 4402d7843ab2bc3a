"""``python -m trackline`` is the command ``trackline``."""

import sys

from trackline.cli import main

if __name__ == "__main__":
    sys.exit(main())
