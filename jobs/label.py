"""The same as `rlpersona label`, for `ray job submit -- python jobs/label.py ai nano-persuasion`."""

import sys

from rlpersona.cli import main

if __name__ == "__main__":
    main(["label", *sys.argv[1:]])
