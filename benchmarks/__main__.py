"""``python -m benchmarks CONFIG``: the same as ``scdiff-bench run CONFIG``, from a checkout."""

import sys

from scdiff_bench.commands.run import main

if __name__ == "__main__":
    sys.exit(main())
