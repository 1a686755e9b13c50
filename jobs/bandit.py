"""The same as `rlpersona bandit`, for `ray job submit -- python jobs/bandit.py quickstart seed=3`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["bandit", *sys.argv[1:]])
