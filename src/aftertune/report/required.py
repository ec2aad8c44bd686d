"""Which tables a report needs of each of its parts, which keys of their rows, and which facts beside them."""

REQUIRED: dict[str, tuple[str, ...]] = {
    "table1": (
        *("dataset", "model", "followed", "unfollowed", "difference", "difference_interval"),
        *("p_value", "p_value_holm", "effect_size_g", "auroc", "auroc_interval"),
    ),
    "table2": (
        *("dataset", "base", "tuned", "difference", "difference_interval"),
        *("p_value", "p_value_holm", "effect_size_g", "paired"),
    ),
    "figure6": ("dataset", "model", "quarters"),
    "instances": (
        *("id", "dataset", "score_base", "score_tuned", "difference"),
        *("copied_share_base", "copied_share_tuned", "repetitive_base", "repetitive_tuned"),
    ),
}
FINDING = ("headline", "sentence", "significant", "evidence")
HEAD_REQUIRED: dict[str, tuple[str, ...]] = {
    "table3": (
        *("layers", "instruction", "general", "difference", "difference_interval", "p_value", "p_value_holm"),
        *("p_value_permutation", "p_value_permutation_holm", "matched", "p_value_matched", "effect_size_g", "controls"),
    ),
    "figure2": ("level", "layers", "distance", "interval", "controls"),
    "heads": (
        *("layer", "head", "distance", "neuron_distance", "n_base", "n_tuned", "n_gained", "n_lost"),
        *("verbs_gained", "verbs_lost"),
    ),
}
HEAD_FRAMES: dict[str, tuple[str, ...]] = {
    "pairs": (
        *("layer", "head", "word_a", "word_b", "change"),
        *("rank_base", "rank_tuned", "n_neurons_base", "n_neurons_tuned"),
    ),
    "neurons": ("layer", "head", "neuron", "distance", "query_word", "key_word", "change", "cosine"),
}
HEAD_FACTS = (
    *("asked", "verbs_missing", "depth", "n_words", "n_with_vector", "words_source", "vectors_source"),
    *("layers", "n_heads", "settings"),
)
CONCEPT_REQUIRED: dict[str, tuple[str, ...]] = {
    "rotation": (
        *("layers", "subspace_angle", "largest_angle", "component_angle", "component_angle_interval"),
        *("separated_angle", "n_separated", "kept_in_order", "variance_kept", "words_kept", "words_kept_interval"),
    ),
    "figure8": ("model", "rank", "accumulated"),
    "chance": ("model", "ranks", "n", "nearest", "nearest_by_chance", "near", "n_beyond", "beyond"),
    "networks": (
        *("layer", "expert", "mean_principal_angle", "largest_principal_angle", "mean_component_angle"),
        *("mean_separated_angle", "kept_in_order", "variance_kept", "variance_lost"),
        *("share_base", "share_tuned", "words_kept"),
    ),
}
COMPONENTS = (
    *("layer", "expert", "rank", "match_rank", "angle", "gap", "variance_share_base", "variance_share_tuned"),
    *("words_kept", "words_base", "words_tuned"),
    *("p_chance_base", "p_chance_tuned", "beyond_chance_base", "beyond_chance_tuned"),
)
CONCEPT_FRAMES = ("components", "new_components", "lost_components")
CONCEPT_FACTS = ("n_words", "words_source", "layers", "n_components", "settings")
CATEGORY = (
    *("kind", "category", "base", "tuned", "difference", "difference_interval", "p_value", "p_value_holm"),
    *("p_value_permutation", "p_value_permutation_holm", "p_value_concepts", "p_value_concepts_holm", "effect_size_g"),
)
ANNOTATION_REQUIRED: dict[str, tuple[str, ...]] = {
    "scenarios": CATEGORY,
    "levels": CATEGORY,
    "figure3": ("model", "layers", "level", "share"),
    "figure7": ("model", "layers", "ranks", "share"),
    "words": (
        "layers",
        "word",
        "frequency_base",
        "frequency_tuned",
        "change",
        "rank_base",
        "rank_tuned",
        "rank_change",
    ),
    "clear": ("model", "layer", "expert", "rank", "description", "scenarios", "level", "words"),
    "agreement": ("model", "asked", "n_concepts", "n_repeats", "kappa"),
    "unparsed": ("model", "step", "n_asked", "n_unparsed"),
}
ANNOTATION_FACTS = (
    *("annotator", "is_weak", "n_repeats_base", "n_repeats_tuned", "n_concepts", "n_left_out"),
    *("interpreted", "described", "n_within_chance_base", "n_within_chance_tuned"),
)
DESCRIBED = ("layer", "expert", "rank", "role", "description")
ROTATION_SPREADS = (
    "subspace_angle",
    "largest_angle",
    "component_angle",
    "kept_in_order",
    "variance_kept",
    "words_kept",
)
DEPTH = ("n_heads", "correlation", "p_value", "controls")
SPREAD = ("n", "mean", "std")
PAIRED = ("n_pairs", "difference", "difference_interval", "p_value", "p_value_holm")
CHECK = ("n_instances", "spearman_mean", "spearman_std", "top1_agreement", "removal")
