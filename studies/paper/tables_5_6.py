"""Tables 5 and 6: tasks and linguistic levels of concepts.    python studies/paper/tables_5_6.py RUN"""

from shown import ANNOTATIONS, show, table

columns = ["kind", "category", "base_mean", "base_std", "tuned_mean", "tuned_std", "p_value", "p_value_components"]
show(table("categories", ANNOTATIONS).select(columns))
