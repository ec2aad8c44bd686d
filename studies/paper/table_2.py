"""Table 2: how densely base and tuned use their instructions.    python studies/paper/table_2.py RUN"""

from shown import show, table

show(table("table2").select("dataset", "base_mean", "base_std", "tuned_mean", "tuned_std", "p_value", "effect_size_g"))
