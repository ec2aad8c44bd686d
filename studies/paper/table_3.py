"""Table 3: share of heads that took up pairs with instruction verbs.    python studies/paper/table_3.py RUN"""

from shown import show, table

columns = [
    "layers",
    "lists",
    "instruction_mean",
    "instruction_std",
    "general_mean",
    "general_std",
    "p_value",
    "p_value_matched",
]
show(table("table3").select(columns))
