"""Figure 8: accumulated variance of the components.    python studies/paper/figure_8.py RUN"""

from shown import show, table

rows = table("figure8")
show(rows.filter(rows["rank"].is_in([1, 10, 50, 100, 300])), "figure8")
