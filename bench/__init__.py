"""How fast, beside whom?  ``python -m bench`` (or ``make bench``) prints one table; see docs/performance.md."""
