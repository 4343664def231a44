"""``python -m benchmarks``: ``scdiff-bench`` from a checkout; a config alone is run."""

import sys

from scdiff_bench.commands import COMMANDS, main

if __name__ == "__main__":
    given = sys.argv[1:]
    known = {*COMMANDS, "-h", "--help"}
    sys.exit(main(given if not given or given[0] in known else ["run", *given]))
