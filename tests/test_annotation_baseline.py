"""The baseline by word vectors, on vectors whose likeness is planted; and a tiny chat model that knows nothing."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForCausalLM, LlamaConfig

from aftertune.errors import AnnotationError, WordError
from aftertune.explainers.annotation import baseline
from aftertune.explainers.annotation.baseline import NAMING, likeness
from aftertune.explainers.annotation.result import LEVELS, SCENARIOS, recall_annotations
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.runs.run import RunFolder
from aftertune.study.annotate import annotate
from annotation_samples import save_concepts
from tiny import GQA, make_tokenizer

CODES = ["python", "java", "kernel", "script", "thread"]
NOISE = [f"noise{number}" for number in range(60)]
WITHOUT = ["zzz1", "zzz2", "zzz3", "zzz4"]


def save_vectors(path: Path, leave_out: str = "") -> Path:
    """Each category lies along an axis of its own; code words near the axis of coding and syntax, others anywhere."""
    generator = np.random.default_rng(1)
    axes = np.eye(32)
    words: dict[str, np.ndarray] = {word: generator.normal(size=32) for word in NOISE}
    for number, (name, named) in enumerate(NAMING.items()):
        words |= {word: axes[number] * 5 + generator.normal(size=32) * 0.05 for word in named if name != leave_out}
    toward = axes[SCENARIOS.index("coding")] + 0.5 * axes[len(SCENARIOS) + LEVELS.index("syntax")]
    words |= {word: 6 * toward + (number + 1) * 0.1 * axes[20 + number] for number, word in enumerate(CODES)}
    np.savez(path, words=np.array(list(words)), vectors=np.array(list(words.values()), dtype=np.float32))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    concepts = [CODES, NOISE[:5], [*CODES[:2], *WITHOUT]]
    others = [NOISE[start : start + 5] for start in range(5, 60, 5)]
    return save_concepts(tmp_path / "run", {"model": [concepts, *([one] for one in others)]})


def test_planted_words_are_told_and_random_ones_are_not(run: Path, tmp_path: Path) -> None:
    vectors = save_vectors(tmp_path / "vectors.npz")
    found = annotate(run, f"words:{vectors}")
    first, second, third = found.rows(named=True)[:3]
    assert (first["description"], first["scenarios"], first["level"]) == ("python, java, kernel", ["coding"], "syntax")
    assert second["description"] is second["scenarios"] is second["level"] is None
    assert third["description"] is None, "no more than half of its words have a vector"
    assert found["repeat"].to_list() == [0] * found.height and not found["unparsed"].list.len().sum()
    told = found["description"].is_not_null().sum()
    assert told <= 1 + 2, "a random group is told once in twenty times"
    assert annotate(run, f"words:{vectors}").equals(found)
    about = recall_annotations(RunFolder.open(run))
    assert (
        about
        and (about["annotator"]["kind"], about["annotator"]["weak"]) == ("words", True)
        and about["settings"]["repeats"] == 1
    )


def test_likeness_is_the_mean_cosine_of_pairs() -> None:
    unit = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    assert likeness(unit) == pytest.approx((0.6 + 0.0 + 0.8) / 3)


def test_the_threshold_is_that_of_random_groups(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = save_vectors(tmp_path / "vectors.npz")
    monkeypatch.setattr(baseline, "QUANTILE", 1.0)
    strict = annotate(run, f"words:{vectors}", settings=AnnotationSettings(components=1))
    monkeypatch.setattr(baseline, "QUANTILE", 0.0)
    loose = annotate(run, f"words:{vectors}", settings=AnnotationSettings(components=1))
    assert strict["description"].null_count() > 0 == loose["description"].null_count()
    assert strict["rank"].to_list() == [1] * strict.height


def test_a_category_without_a_vector_is_refused(run: Path, tmp_path: Path) -> None:
    vectors = save_vectors(tmp_path / "vectors.npz", leave_out="math")
    with pytest.raises(AnnotationError, match=r"None of the words for math .* has a vector"):
        annotate(run, f"words:{vectors}")
    with pytest.raises(WordError):
        annotate(run, f"words:{tmp_path / 'none.npz'}")


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat") / "tiny chat"
    config = LlamaConfig(**(GQA | {"max_position_embeddings": 8192}))
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def test_a_chat_model_that_knows_nothing_breaks_nothing(chat: Path, tmp_path: Path) -> None:
    run = save_concepts(tmp_path / "run", {"model": [[["red", "blue"], ["run", "walk"]]]})
    found = annotate(run, f"local:{chat}", settings=AnnotationSettings(repeats=2))
    assert found["level"].null_count() == found["scenarios"].null_count() == 4
    assert all(row["description"] is None or {"tasks", "level"} <= set(row["unparsed"]) for row in found.to_dicts())
    about = recall_annotations(RunFolder.open(run))
    assert about and about["annotator"]["weak"] and about["annotator"]["name"] == "local tiny chat"
    answers = sorted(run.rglob("answers/*/*.json"))
    texts = [one.read_text() for one in answers]
    for one in answers:
        one.unlink()
    assert annotate(run, f"local:{chat}", settings=AnnotationSettings(repeats=2)).equals(found)
    assert [one.read_text() for one in sorted(run.rglob("answers/*/*.json"))] == texts, "sampled with the same seed"


def test_a_model_that_cannot_be_asked_is_refused(chat: Path, tmp_path: Path) -> None:
    run = save_concepts(tmp_path / "run", {"model": [[["red", "blue"]]]})
    bare = tmp_path / "bare"
    AutoModelForCausalLM.from_pretrained(chat).save_pretrained(bare)
    make_tokenizer(chat=False).save_pretrained(bare)
    with pytest.raises(AnnotationError, match=r"bare has no chat template"):
        annotate(run, f"local:{bare}")
