"""What are the numbers of the findings on what the models say called, and what is their unit?"""

from aftertune.report.numbers import P_VALUE, SHARE, Label

LABELS = {
    "n": Label("answers of each model"),
    "begin": Label("answers that begin alike"),
    "end": Label("answers that end alike"),
    "more": Label("words used more"),
    "less": Label("words used less"),
    "generic": Label("tokens after everyday texts"),
    "answers": Label("tokens of the answers"),
    "prompts": Label("tokens after the prompts"),
    "largest": Label("largest change of a token", "nats"),
    "limit": Label("largest that noise made", "nats"),
    "n_shown": Label("tokens beyond noise"),
    "scale": Label("norm of the noise", "times that of the change"),
    "total_variation": Label("probability of the next token that moved", SHARE),
    "p_value_rank": Label("p of the rank alone", P_VALUE),
    "coherence": Label("mean cosine between the words"),
    "noise_coherence": Label("of words that noise moved"),
    "coherence_limit": Label("the largest that noise made"),
    "p_value_coherence": Label("p of the cosine", P_VALUE),
    "n_differing_answers": Label("answers that differ"),
    "id": Label("prompt"),
    "context": Label("where the answers part"),
    "log_ratio": Label("log-ratio of the answer", "nats a token"),
}
