"""Table 1: how densely followed and unfollowed instructions are used.    python studies/paper/table_1.py RUN"""

from shown import show, table

needed = "It needs ratings: in the prompt file, or from aftertune label."
columns = ["dataset", "model", "followed_mean", "followed_std", "unfollowed_mean", "unfollowed_std", "p_value", "auroc"]
show(table("table1", needed).select(columns))
