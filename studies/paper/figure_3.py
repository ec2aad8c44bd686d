"""Figure 3: linguistic levels of concepts by depth.    python studies/paper/figure_3.py RUN"""

from shown import ANNOTATIONS, show, table

show(table("figure3", ANNOTATIONS), "figure3")
