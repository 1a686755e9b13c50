"""The same as `rlpersona grpo`, for `ray job submit -- python jobs/grpo.py nano-math seed=3`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["grpo", *sys.argv[1:]])
