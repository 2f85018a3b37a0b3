"""How fast maskkit is beside what a user would write instead: every figure a ratio taken in one run.

`measure` runs the rows named and yields the results as they grow; the command is `maskkit benchmark`.
"""

from benchmarks.peers.results import Benchmark, Parity, Row
from benchmarks.peers.rows import PHOTO_ROWS, ROWS, measure
from benchmarks.peers.subjects import FULL, QUICK, Sizes
from benchmarks.peers.timing import Spread

__all__ = ["measure", "ROWS", "PHOTO_ROWS", "FULL", "QUICK", "Benchmark", "Parity", "Row", "Sizes", "Spread"]
