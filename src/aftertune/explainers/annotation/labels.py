"""What are the numbers of the findings on what concepts have in common called, and what is their unit?"""

from aftertune.report.numbers import P_VALUE, SHARE, Label

LABELS = {
    "base": Label("base", SHARE),
    "tuned": Label("tuned", SHARE),
    "difference": Label("difference, tuned − base", SHARE),
    "kind": Label("kind"),
    "category": Label("category"),
    "p_value_components": Label("p (components)", P_VALUE),
    "p_value_components_holm": Label("p (components, Holm)", P_VALUE),
    "risen": Label("words of components that came"),
    "fallen": Label("words of components that went"),
    "unparsed": Label("answers that can't be used"),
    "agreement": Label("agreement of repeats"),
    "n_left_out": Label("components left out"),
    "n_answers": Label("answers"),
    "n_unparsed": Label("of them unusable"),
    "n_abstained": Label("no name"),
    "n_unusable": Label("unusable answers"),
    "n_agreeing": Label("names that agree"),
    "answers": Label("names given"),
}
