"""Figures 1, 4, 5 and 9 to 14: both models' salient maps of one prompt.    python studies/paper/figure_1.py RUN ID"""

import sys

from shown import show, table

rows = table("instances")
prompt = sys.argv[2] if len(sys.argv) > 2 else rows["id"][0]
picture = f"map-{prompt}" if rows["id"].to_list().index(prompt) < 12 else None  # of the others it is in the report
show(rows.filter(id=prompt).select("id", "score_base", "score_tuned", "n_prompt_tuned", "n_response_tuned"), picture)
