"""`python -m selfplay` is the command `selfplay`."""

import sys

from selfplay.cli import main

if __name__ == "__main__":  # spawned processes import this module again
    sys.exit(main())
