"""``python -m scdiff_bench``: the same as ``scdiff-bench``."""

import sys

from scdiff_bench.commands import main

if __name__ == "__main__":
    sys.exit(main())
