"""Tables 7 to 10: words that rose and fell in descriptions, by depth.    python studies/paper/tables_7_10.py RUN"""

import polars as pl
from shown import ANNOTATIONS, show, table

words = table("words", ANNOTATIONS).sort("layers", "change", "word", descending=[False, True, False])
groups = words.group_by("layers", maintain_order=True)
show(pl.concat([groups.head(10), groups.tail(10)]).unique(maintain_order=True).sort("layers", maintain_order=True))
