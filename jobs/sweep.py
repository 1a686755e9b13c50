"""The same as `rlpersona sweep`, for `ray job submit -- python jobs/sweep.py nano-length`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["sweep", *sys.argv[1:]])
