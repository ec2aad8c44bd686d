"""Figure 2: how far the heads' word pairs lie apart, by depth.    python studies/paper/figure_2.py RUN"""

from shown import show, table

rows = table("figure2")
show(rows.select("level", "layers", "lists", "distance_mean", "distance_std"), "figure2")
