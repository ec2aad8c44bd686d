"""What are the numbers of the findings on where the change sits called, and what is their unit?"""

from aftertune.report.numbers import SHARE, Label

LABELS = {
    "n_changed": Label("tensors that changed"),
    "module": Label("modules"),
    "n_swapped": Label("modules swapped"),
    "where": Label("where half of it sits"),
    "sum_brings": Label("sum of what single modules bring", SHARE),
    "sum_takes": Label("sum of what single modules take away", SHARE),
    "brings": Label("brought when swapped into the base", SHARE),
    "takes": Label("taken away when swapped into the tuned model", SHARE),
    "brings_divergence": Label("brought, by KL divergence", SHARE),
    "takes_divergence": Label("taken away, by KL divergence", SHARE),
    "is_needed": Label("needed for the change"),
    "is_beyond_noise": Label("beyond noise of the same size"),
    "noise_brings": Label("brought by noise of the same size", SHARE),
    "noise_takes": Label("taken away by noise of the same size", SHARE),
    "n_empty": Label("empty answers"),
    "empty_share": Label("their share of the change", SHARE),
    "n_left_out": Label("prompts left out"),
    "relative_change": Label("norm of the change, of the weights'", SHARE),
    "by_module": Label("by module", SHARE),
    "top5_share": Label("of the squared change, in 5 directions", SHARE),
    "noise_top5_share": Label("the same of noise", SHARE),
    "effective_rank": Label("effective rank of the change", "directions"),
}
