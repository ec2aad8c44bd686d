"""Tables 4, 11 and 12: the concepts that are read most clearly.    python studies/paper/tables_4_11_12.py RUN"""

from shown import ANNOTATIONS, show, table

needed = f"{ANNOTATIONS} Or none was described the same way in every repeat."
show(table("clearest", needed).group_by("model", maintain_order=True).head(10))
