"""The command ``python -m maskkit``."""

from maskkit.cli import main

if __name__ == "__main__":
    main()
