"""Tables 13 and 14: word pairs of the neuron pairs that changed most.    python studies/paper/tables_13_14.py RUN"""

import sys

import polars as pl
from shown import show

import aftertune

heads = aftertune.open_comparison(sys.argv[1]).heads
if heads is None:
    sys.exit(f"The heads were skipped in {sys.argv[1]}.")
most = heads.neurons.sort("distance", "n_gained", descending=True, nulls_last=True).head(4)
found = []
for layer, head, neuron in most.select("layer", "head", "neuron").iter_rows():
    place = pl.lit(f"{layer}.{head}.{neuron}").alias("layer.head.neuron")
    found.append(heads.neuron(layer, head, neuron).select(place, pl.all()).head(12))
show(pl.concat(found))
