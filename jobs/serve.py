"""The same as `rlpersona serve`, for `ray job submit -- python jobs/serve.py nano-length`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["serve", *sys.argv[1:]])
