"""``python -m array_format``: the command ``af``."""

from ._cli import main

main()
