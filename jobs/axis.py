"""The same as `rlpersona axis`, for `ray job submit -- python jobs/axis.py nano seed=3`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["axis", *sys.argv[1:]])
