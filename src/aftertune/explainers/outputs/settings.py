"""How outputs are compared: draws of noise, samples, how long answers are."""

from aftertune.explainers.settings import Settings, setting


class OutputSettings(Settings):
    """How the outputs of two models are compared.

    ``noise_draws`` models with random weight changes of like effect say how far words move by chance; 0 for none, and
    then no word is claimed. ``sampled_answers`` of each model to each prompt are sampled at temperature 1, to see what
    greedy ones hide; 0 for none. ``n_samples`` is the number of free samples of the tuned model from each of two
    beginnings, ``answer_tokens`` the most tokens of an answer or a sample, ``seed`` that of noise and samples. Raises
    `AttributionError` for what is not allowed.
    """

    noise_draws: int = setting(
        9, "Models with random weight changes that words are compared with; 0 for none.", scope="units", ge=0
    )
    sampled_answers: int = setting(
        2, "Answers sampled from each model to each prompt, beside the greedy one; 0 for none.", scope="units", ge=0
    )
    n_samples: int = setting(8, "Free samples of the tuned model from each beginning.", flag="", ge=0)
    answer_tokens: int = setting(
        48, "Most tokens of an answer that outputs are compared by.", flag="output-tokens", ge=1
    )
    seed: int = setting(0, "Seed of noise and samples.", flag="", ge=0)
