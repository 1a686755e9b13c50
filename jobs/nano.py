"""The same as `rlpersona nano`, for `ray job submit -- python jobs/nano.py build /models/nano`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["nano", *sys.argv[1:]])
