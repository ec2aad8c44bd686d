"""Figure 6: share of the density on each quarter of a sentence.    python studies/paper/figure_6.py RUN"""

from shown import show, table

show(table("figure6"), "figure6")
