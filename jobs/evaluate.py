"""The same as `rlpersona evaluate`, for `ray job submit -- python jobs/evaluate.py nano-persuasion`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
