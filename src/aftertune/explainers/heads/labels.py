"""What are the numbers of the findings on attention heads called, and what is their unit?"""

from aftertune.report.numbers import P_VALUE, SHARE, Label

LABELS = {
    "n_words": Label("words"),
    "head": Label("all pairs of a head"),
    "neuron_pair": Label("pairs of one neuron pair"),
    "n_heads": Label("compared"),
    "distance": Label("pairs that differ", SHARE),
    "excess": Label("beyond the control", SHARE),
    "controls": Label("control"),
    "correlation": Label("rank correlation with depth"),
    "excess_correlation": Label("of what is beyond the control"),
    "n_gained": Label("word pairs gained"),
    "pairs": Label("of them changed most"),
    "times_noise": Label("their change", "times that of noise"),
    "layers": Label("layers"),
    "words": Label("heads with verbs of instructions"),
    "general_words": Label("heads with general words"),
    "difference": Label("difference of heads in which pairs grew", SHARE),
    "p_value_matched": Label("p (matched words)", P_VALUE),
    "doubt": Label("doubt"),
}
