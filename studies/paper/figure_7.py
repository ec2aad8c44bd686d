"""Figure 7: share of concepts that could be described, by depth and rank.    python studies/paper/figure_7.py RUN"""

from shown import ANNOTATIONS, show, table

show(table("figure7", ANNOTATIONS), "figure7")
