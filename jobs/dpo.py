"""The same as `rlpersona dpo`, for `ray job submit -- python jobs/dpo.py nano-persuasion`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["dpo", *sys.argv[1:]])
