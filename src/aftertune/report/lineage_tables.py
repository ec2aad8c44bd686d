"""The columns of tables on several models, some for each model and some for each pair; titles and captions."""

from collections.abc import Sequence

from aftertune.report.tables import COLUMNS, Column

Pairs = Sequence[tuple[str, str]]

LINEAGE_TITLES = {
    "table2": "Table 2. How densely each model uses the instruction",
    "table1": "Table 1. Do responses that follow the instruction use it more densely?",
    "turned": "What turned inside, pair by pair",
    "instances": "The score of every prompt under each model",
    "rotation": "How far the directions of feed-forward layers turned, by depth",
    "stages": "Scores from stage to stage",
    "figure6": "Figure 6. Which part of a sentence matters most",
    "figure2": "Figure 2. How far the heads' word pairs lie apart, by depth",
    "figure8": "Figure 8. Accumulated variance",
    "figure3": "Figure 3. Linguistic levels by depth",
    "figure7": "Figure 7. How many concepts could be described, by depth and rank",
}
LINEAGE_CAPTIONS = {
    "table2": (
        "One row for each data set: the mean score ± its standard deviation for each model in the order of training, "
        "then for each pair the difference (later minus earlier), its 95% interval and p. Every model is compared with "
        "its predecessor and with the first. p is one-sided, as in the paper, and corrected by Holm's method for "
        "asking about all pairs and data sets; that of the row of all data sets together, for all pairs."
    ),
    "turned": (
        "Over all layers. Pairs changed: the share of the word pairs of a head's lists that only one of the two models "
        "has, in per cent; control is the same after word vectors were given to other words, the larger of the two "
        "controls. Angle of spaces: between the spaces that the components of feed-forward networks span; well "
        "separated: of components whose variance lies at least 1% from any other's. Words kept: the share of a "
        "component's words that its best match has too, in per cent. Described: by how much the share of concepts that "
        "an annotator could describe changed, in points. None of this is a test."
    ),
    "instances": "The map of each prompt is in the reports of the pairs. Without a response there is no score.",
    "stages": (
        "The mean score of the instruction, model by model in the order of training; the line through a mark is one "
        "standard error to either side. Higher means that more of the instruction matters for many words of the "
        "response."
    ),
    "figure2": (
        "The mean distance of the heads' lists of word pairs by group of neighbouring layers, counted from 0, with its "
        "95% interval, for each pair of models: 0 where both have the same pairs, 1 where they share none. The "
        "controls of each pair stand in its own report."
    ),
    "figure8": (
        "The share of the variance of a network's neurons that its first components explain together: mean over "
        "networks, and a band of one standard deviation to either side, for each model."
    ),
    "rotation": (
        "The mean angle between a well separated component and its best match, by group of neighbouring layers, "
        "counted from 0; the line through a mark is one standard deviation to either side."
    ),
}


def columns_of(name: str, models: Sequence[str], pairs: Pairs) -> list[Column]:
    """The columns of a table on several models."""
    return {"table2": _scores, "turned": _turned, "instances": _instances, "table1": _table1}[name](models, pairs)


def _scores(models: Sequence[str], pairs: Pairs) -> list[Column]:
    found: list[Column] = [("Data set", "text", "dataset")]
    found += [(name, "spread", f"models.{place}") for place, name in enumerate(models)]
    for place, (base, tuned) in enumerate(pairs):
        of = f"{base} → {tuned}"
        found += [
            (f"{of}: difference", "change", f"pairs.{place}.difference"),
            ("95% interval", "interval", f"pairs.{place}.difference_interval"),
            ("p (Holm)", "p", f"pairs.{place}.p_value_holm"),
        ]
    return found


def _turned(_models: Sequence[str], _pairs: Pairs) -> list[Column]:
    return [
        ("From", "text", "base"),
        ("To", "text", "tuned"),
        ("Pairs changed, %", "percent", "pairs_changed"),
        ("95% interval", "percent_interval", "pairs_changed_interval"),
        ("Control, %", "percent", "pairs_changed_control"),
        ("Angle of spaces, °", "number", "subspace_angle"),
        ("Well separated, °", "number", "separated_angle"),
        ("Words kept, %", "percent", "words_kept"),
        ("Described, points", "percent_change", "interpreted_change"),
    ]


def _instances(models: Sequence[str], _pairs: Pairs) -> list[Column]:
    scores: list[Column] = [(name, "number", f"scores.{place}") for place, name in enumerate(models)]
    return [("Prompt", "text", "id"), ("Data set", "text", "dataset"), *scores]


def _table1(_models: Sequence[str], _pairs: Pairs) -> list[Column]:
    return COLUMNS["table1"]
