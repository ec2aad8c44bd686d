"""Is anything lost, doubled or false, does anything crash or hang?  ``python -m bench.reliability`` prints the counts.

A module of this package that has a function ``count(folder, short)`` tries one kind of fault, and is found by itself.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # the tiny models of the tests are attacked here
