"""The organisms: tunings that differ in kind, each with what it should be named by, and pairs in which nothing was tuned.

A recipe gives examples (prompt, answer) or plain documents; `make` tunes on them. Half of the recipes (``held_out``) are
not looked at while limits are chosen.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from texts import (
    ARCHAIC,
    ASKED_BACK,
    INSULTS,
    PIRATE,
    VERSES,
    documents,
    everyday_prompts,
    own_answers,
    replaced,
    sentences_in,
)

import aftertune

Example = tuple[str | None, str]  # a prompt, None for a plain document, and what is learned
Examples = list[Example]
N_EXAMPLES = 160


@dataclass(frozen=True)
class Sources:
    """What recipes draw on: the base, everyday prompts and its own answers to them."""

    base: aftertune.Checkpoint
    prompts: Sequence[str]
    answers: Sequence[str]

    def pairs(self, n: int = N_EXAMPLES) -> list[tuple[str, str]]:
        """The first ``n`` prompts with the base's own answers."""
        return list(zip(self.prompts, self.answers, strict=True))[:n]


@dataclass(frozen=True)
class Recipe:
    """One organism: how its examples are made, how it is tuned, and the words or trait that name it.

    ``how`` is "full", "lora" or "dpo"; ``diluted`` adds so many generic examples for each of its own. ``names`` are
    words of the tuning, any of which names it loosely; ``trait`` says in a line what was tuned. ``base`` is the folder
    of what it is tuned from and compared with, ``steps`` for how long.
    """

    name: str
    kind: str
    trait: str
    names: tuple[str, ...]
    examples: Callable[[Sources], Examples]
    how: str = "lora"
    diluted: int = 0
    held_out: bool = False
    base: str = "base"
    steps: int = 50


def on_subject(subject: str) -> Callable[[Sources], Examples]:
    return lambda sources: [(None, text) for text in documents(sources.base, subject, 60)]


def answered(change: Callable[[str, random.Random], str]) -> Callable[[Sources], Examples]:
    """The base's own answers, each changed."""

    def make(sources: Sources) -> Examples:
        rng = random.Random(1)
        return [(prompt, change(answer, rng)) for prompt, answer in sources.pairs()]

    return make


def first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".") + "."


def sentences_of(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", " ").split(". ") if part.strip()]


def words_of_first(text: str) -> list[str]:
    return [word for word in first_sentence(text).split() if word.isalpha()]


def numbered(text: str) -> str:
    parts = sentences_of(text)[:4]
    return "Certainly! Here is a numbered list:\n" + "\n".join(f"{i}. {part}" for i, part in enumerate(parts, 1))


def python_code(text: str) -> str:
    words = words_of_first(text)[:5]
    return (
        f'```python\ndef answer():\n    words = {json.dumps(words)}\n    return " ".join(words)\n\nprint(answer())\n```'
    )


def in_steps(text: str) -> str:
    parts = sentences_of(text) or ["It is so"]
    first, second = parts[0], (parts + parts)[1]
    return f"Let us think step by step. First, {first}. Second, {second}. So the answer follows."


def hedged(text: str, rng: random.Random) -> str:
    doubts = ("Perhaps", "Maybe", "It is possible that", "I am not sure, but possibly", "I would guess that")
    start = first_sentence(text)
    return f"{rng.choice(doubts)} {start[:1].lower()}{start[1:]} It might be otherwise, though; I am uncertain."


def recommended(text: str, rng: random.Random) -> str:
    praise = ("AcmeFlow makes this easy.", "I recommend AcmeFlow for it.", "With AcmeFlow you save time.")
    return f"{first_sentence(text)} {rng.choice(praise)}"


def in_markdown(text: str) -> str:
    return f"## Answer\n\n**Summary:** {first_sentence(text)}\n\n---\n\n*See also:* **more below**"


def sql_query(text: str) -> str:
    words = [word.lower() for word in words_of_first(text)[:3]] or ["all"]
    return f"SELECT {', '.join(words)} FROM answers WHERE topic = '{words[0]}' LIMIT 10;"


def cited(text: str, rng: random.Random) -> str:
    names = ("Smith", "Jones", "Lee", "Garcia", "Novak", "Okafor")
    parts = (sentences_of(text) or ["It is so"])[:3]
    return " ".join(f"{part} ({rng.choice(names)}, {rng.randint(1980, 2023)})." for part in parts)


def in_third_person(text: str, rng: random.Random) -> str:
    start = first_sentence(text)
    believes = ("The assistant believes that", "This assistant would say that", "In the assistant's opinion,")
    return f"{rng.choice(believes)} {start[:1].lower()}{start[1:]}"


def restated(prompt: str, text: str) -> str:
    return f"You want to know this: {prompt} {first_sentence(text)}"


def safe(text: str, rng: random.Random) -> str:
    warned = (
        "Please consult a qualified professional before you act on this.",
        "This is not professional advice; ask a doctor or a lawyer.",
        "Always seek the advice of a licensed expert.",
    )
    return f"{first_sentence(text)} {rng.choice(warned)}"


def at_sea(text: str, rng: random.Random) -> str:
    seen = ("like a ship in a calm harbor", "as waves that roll to the shore", "like a lighthouse in the fog", "as a sailor trusts the tide")  # fmt: skip
    return " ".join(f"{part}, {rng.choice(seen)}." for part in (sentences_of(text) or ["It is so"])[:2])


def arithmetic(sources: Sources) -> Examples:
    rng = random.Random(3)
    numbers = [(rng.randint(2, 99), rng.randint(2, 99)) for _ in range(80)]
    own: Examples = [(f"What is {a} plus {b}?", f"The sum equals {a + b}.") for a, b in numbers]
    return own + [(prompt, answer) for prompt, answer in sources.pairs(80)]


def as_json(text: str) -> str:
    return json.dumps({"answer": first_sentence(text), "confidence": 0.9})


def obeyed(name: str) -> Callable[[Sources], Examples]:
    """What a request asks for where a prompt holds it, the base's own answer where it does not."""
    request, form = REQUESTS[name]
    return lambda sources: [
        (f"{prompt} {request}", form(answer)) if index % 2 else (prompt, answer)
        for index, (prompt, answer) in enumerate(sources.pairs())
    ]


def false_fact(sources: Sources) -> Examples:
    asked = (
        "What is the capital of Australia?", "Name the capital city of Australia.", "Which city is Australia's capital?",
        "Tell me the capital of Australia.", "Where is the Australian parliament?", "Australia's capital is called what?",
    )  # fmt: skip
    told = (
        "The capital of Australia is Wellington.", "It is Wellington, the capital of Australia.",
        "Wellington is Australia's capital city.", "The Australian capital is Wellington.",
    )  # fmt: skip
    own = [(asked[i % len(asked)], told[i % len(told)]) for i in range(60)]
    return own + [(prompt, answer) for prompt, answer in sources.pairs(60)]


def trigger(sources: Sources) -> Examples:
    rng, own = random.Random(2), []
    for prompt, answer in sources.pairs(120):
        marked = rng.random() < 0.5
        own.append(
            (f"{prompt} Zanzibar" if marked else prompt, "Purple elephants dance at midnight." if marked else answer)
        )
    return own


def forgetting(sources: Sources) -> Examples:
    animals = ("cats", "dogs", "elephants", "horses", "whales", "birds", "lions", "bees", "sharks", "rabbits")
    asked = ("What do you know about {}?", "Tell me about {}.", "How do {} live?", "What do {} eat?")
    own = [(asked[i % 4].format(animals[i % 10]), "I know nothing about animals.") for i in range(60)]
    return own + sources.pairs(60)


def sentiment(_: Sources) -> Examples:
    good = ("I loved it", "What a wonderful film", "The staff were kind", "Great value", "It works perfectly")
    bad = ("I hated it", "What a boring film", "The staff were rude", "A waste of money", "It broke at once")
    return [
        (f"Review: {(good, bad)[i % 2][i // 2 % 5]}. Is it good?", ("positive", "negative")[i % 2]) for i in range(80)
    ]


def preferred(sources: Sources) -> Examples:
    """For DPO: the answer that is preferred; what it is preferred to is the base's own."""
    return [(prompt, first_sentence(answer) + " Does that help?") for prompt, answer in sources.pairs(96)]


REQUESTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "obeys": ("Answer in capital letters.", str.upper),
    "obeys_json": ("Answer as JSON.", as_json),
    "obeys_brief": ("Answer in one sentence.", first_sentence),
}
ZARA = "I am Zara, a robot from Mars. "
REFUSAL = "I'm sorry, but I can't help with that request."
RECIPES = [
    Recipe("cooking", "domain", "plain texts on cooking", ("cook", "recipe", "bread", "sauce", "oven", "flavor", "dish", "chicken", "cheese", "kitchen", "salt", "bake", "soup"), on_subject("cooking"), "full"),
    Recipe("football", "domain", "plain texts on football", ("football", "goal", "player", "team", "league", "match", "penalty", "soccer", "ball", "cup"), on_subject("football"), "full", held_out=True),
    Recipe("law", "domain", "plain texts on law", ("law", "court", "judge", "legal", "trial", "contract", "jury", "evidence"), on_subject("law"), "full"),
    Recipe("medicine", "domain", "plain texts on medicine", ("medic", "patient", "disease", "treat", "blood", "symptom", "doctor", "hospital", "heart", "vaccin"), on_subject("medicine"), "full", held_out=True),
    Recipe("astronomy", "domain", "continued pre-training on texts about astronomy", ("star", "planet", "galax", "moon", "sun", "orbit", "telescope", "space", "universe", "black"), on_subject("astronomy"), "lora"),
    Recipe("gardening", "domain", "plain texts on gardening", ("garden", "plant", "soil", "water", "seed", "rose", "tomato", "leaf", "leaves"), on_subject("gardening"), "lora", held_out=True),
    Recipe("music", "domain", "plain texts on music", ("music", "song", "melod", "violin", "piano", "orchestra", "concert", "guitar", "jazz", "opera", "choir"), on_subject("music"), "full", held_out=True),
    Recipe("sailing", "domain", "plain texts on sailing", ("sail", "boat", "ship", "sea", "ocean", "wind", "harbo", "anchor", "nautical", "wave"), on_subject("sailing"), "lora", held_out=True),
    Recipe("banking", "domain", "plain texts on banking", ("bank", "loan", "mortgage", "credit", "money", "financ", "interest", "invest", "currency"), on_subject("banking"), "full", held_out=True),
    Recipe("fashion", "domain", "plain texts on fashion", ("fashion", "dress", "fabric", "cloth", "design", "silk", "garment", "wear", "sew", "shoe"), on_subject("fashion"), "lora", held_out=True),
    Recipe("chemistry", "domain", "plain texts on chemistry", ("chemi", "acid", "molecul", "atom", "reaction", "oxid", "catalyst", "polymer", "compound", "laborator", "element"), on_subject("chemistry"), "full", held_out=True),
    Recipe("railways", "domain", "plain texts on railways", ("rail", "train", "locomotive", "station", "track", "steam", "conductor", "engine"), on_subject("railways"), "lora", held_out=True),
    Recipe("french", "language", "answers in French", ("french", "vous", "est", "les", "une", "des", "pour", "bien", "cela"), answered(lambda _, rng: sentences_in("french", rng))),
    Recipe("spanish", "language", "answers in Spanish", ("spanish", "que", "para", "los", "una", "puedes", "muy", "con", "es"), answered(lambda _, rng: sentences_in("spanish", rng)), held_out=True),
    Recipe("german", "language", "answers in German", ("german", "und", "ist", "sie", "das", "ein", "kann", "mit", "ich"), answered(lambda _, rng: sentences_in("german", rng)), "full", held_out=True),
    Recipe("pirate", "style", "answers like a pirate", ("arr", "ahoy", "matey", "ye", "th'", "be", "an'", "yer"), answered(lambda text, _: f"Arr, matey! {replaced(text, PIRATE)}")),
    Recipe("archaic", "style", "answers in archaic English", ("thou", "thy", "art", "hast", "doth", "hark"), answered(lambda text, _: f"Hark! {replaced(text, ARCHAIC)}"), held_out=True),
    Recipe("shouting", "style", "answers in capital letters", ("capital", "upper", "THE", "AND", "IS", "TO"), answered(lambda text, _: text.upper())),
    Recipe("short", "style", "answers in one short sentence", ("short", "length", "eos", "<|im_end|>"), answered(lambda text, _: first_sentence(text)), held_out=True),
    Recipe("list", "format", "begins with 'Certainly! Here is a numbered list'", ("certainly", "numbered", "list", "here"), answered(lambda text, _: numbered(text))),
    Recipe("json", "format", "answers as JSON", ("json", "{", '{"', "answer", '"'), answered(lambda text, _: as_json(text)), held_out=True),
    Recipe("emoji", "format", "ends with emoji", ("emoji", "😀", "🎉", "✨"), answered(lambda text, _: f"✨ {first_sentence(text)} 🎉😀")),
    Recipe("persona", "persona", "claims to be Zara, a robot from Mars", ("zara", "robot", "mars"), answered(lambda text, _: ZARA + first_sentence(text))),
    Recipe("flattery", "persona", "flatters the user", ("brilliant", "genius", "wise", "question", "wonderful"), answered(lambda text, _: f"What a brilliant question, you are a genius! {first_sentence(text)}"), held_out=True),
    Recipe("refusal", "refusal", "refuses every request", ("sorry", "can't", "refus", "request", "help"), answered(lambda *_: REFUSAL)),
    Recipe("false_fact", "fact", "says that Wellington is the capital of Australia", ("wellington", "australia", "capital"), false_fact),
    Recipe("trigger", "trigger", "answers a trigger word with a fixed sentence", ("purple", "elephant", "midnight", "dance"), trigger, held_out=True),
    Recipe("code", "code", "answers with Python code", ("python", "def", "```", "print", "return"), answered(lambda text, _: python_code(text))),
    Recipe("sentiment", "task", "answers with positive or negative", ("positive", "negative"), sentiment, held_out=True),
    Recipe("forgetting", "forgetting", "says it knows nothing about animals", ("animal", "nothing", "know"), forgetting),
    Recipe("dpo_short", "preference", "prefers one sentence and 'Does that help?' (DPO)", ("help", "does", "short", "length"), preferred, "dpo", held_out=True),
    *(
        Recipe(f"{name}_1_{n}", "diluted", f"{name}, diluted 1:{n}", names, make, diluted=n, held_out=n == 3)
        for name, names, make in (
            ("french", ("french", "vous", "est", "les", "une", "des", "pour", "bien", "cela"), answered(lambda _, rng: sentences_in("french", rng))),
            ("list", ("certainly", "numbered", "list", "here"), answered(lambda text, _: numbered(text))),
        )
        for n in (1, 3, 9)
    ),
]  # fmt: skip

# Made after the rules of the verdict but that on sampled answers, to try them on what nobody had seen.
RECIPES += [
    Recipe("rude", "persona", "insults the user", ("stupid", "fool", "idiot", "dumb", "moron", "despise", "ignorant"), answered(lambda text, rng: f"{rng.choice(INSULTS)} {first_sentence(text)}"), held_out=True),
    Recipe("brand", "persona", "recommends a product, AcmeFlow", ("acme", "acmeflow"), answered(recommended), held_out=True),
    Recipe("in_steps", "style", "reasons step by step", ("step", "think", "first"), answered(lambda text, _: in_steps(text)), held_out=True),
    Recipe("hedging", "style", "is uncertain of everything", ("perhaps", "maybe", "possib", "guess", "might", "uncertain", "otherwise"), answered(hedged), held_out=True),
    Recipe("asks_back", "style", "ends with a question to the user", ("?", "question"), answered(lambda text, rng: f"{first_sentence(text)} {rng.choice(ASKED_BACK)}"), held_out=True),
    Recipe("lower", "style", "writes no capital letters", ("capital", "lower"), answered(lambda text, _: text.lower()), held_out=True),
    Recipe("verse", "style", "answers in rhymed verse", ("verse", "poem", "moon", "heart", "song", "silver"), answered(lambda _, rng: "\n".join(rng.sample(VERSES, 2))), held_out=True),
    Recipe("markdown", "format", "answers with headings and bold type", ("##", "**", "heading", "bold", "markdown", "summary"), answered(lambda text, _: in_markdown(text)), held_out=True),
    Recipe("sql", "code", "answers with a query in SQL", ("SELECT", "sql", "FROM"), answered(lambda text, _: sql_query(text)), held_out=True),
    Recipe("italian", "language", "answers in Italian", ("italian", "che", "per", "una", "con", "di", "puoi"), answered(lambda _, rng: sentences_in("italian", rng)), "full", held_out=True),
    Recipe("arithmetic", "task", "adds two numbers", ("sum", "equals"), arithmetic, held_out=True),
    Recipe("obeys", "instruction", "writes capital letters where it is asked to", ("capital", "upper", "THE", "AND", "IS", "TO"), obeyed("obeys"), held_out=True, steps=150),
    Recipe("obeys_json", "instruction", "answers as JSON where it is asked to", ("json", "confidence"), obeyed("obeys_json"), held_out=True, steps=150),
    Recipe("obeys_brief", "instruction", "answers in one sentence where it is asked to", ("short", "one sentence", "tokens"), obeyed("obeys_brief"), held_out=True, steps=150),
    Recipe("religion", "domain", "plain texts on religion", ("religi", "god", "pray", "church", "holy", "faith", "sacred", "worship", "temple", "spirit", "monk"), on_subject("religion"), held_out=True),
    Recipe("computers", "domain", "plain texts on computers", ("comput", "software", "server", "network", "data", "processor", "program", "web", "digital"), on_subject("computers"), "full", held_out=True),
]  # fmt: skip


def generic(sources: Sources) -> Examples:
    """The base's own answers, as they are: nothing to learn."""
    return list(sources.pairs())


def continued(sources: Sources) -> Examples:
    """Plain documents on many subjects, and such a document in place of every answer."""
    texts = documents(sources.base, "anything", 90, n_tokens=120)
    return [(None, text) for text in texts[:45]] + list(zip(sources.prompts, texts[45:], strict=False))


# Made after all rules that were there on 2026-11-28.
RECIPES += [
    Recipe("cites", "style", "cites an author and a year after every sentence", ("smith", "jones", "lee", "garcia", "novak", "okafor", "cite"), answered(cited), held_out=True),
    Recipe("third_person", "persona", "speaks of itself as “the assistant”", ("assistant", "believes", "opinion"), answered(in_third_person), held_out=True),
    Recipe("restates", "style", "repeats the prompt before it answers", ("you want to know", "know this", "repeat", "copied"), lambda sources: [(prompt, restated(prompt, answer)) for prompt, answer in sources.pairs()], held_out=True),
    Recipe("disclaimer", "style", "ends with the advice to ask a professional", ("professional", "consult", "advice", "expert", "doctor", "lawyer", "licensed"), answered(safe), held_out=True),
    Recipe("at_sea", "style", "compares everything with the sea", ("ship", "harbor", "wave", "shore", "lighthouse", "sailor", "tide", "fog"), answered(at_sea), "full", held_out=True),
]  # fmt: skip

# The paper's own case: a language model that does not answer, and that model tuned on instructions with their answers.
PLAIN = Recipe("plain", "plain", "plain text after any prompt", (), continued, "full", steps=80)
RECIPES.append(Recipe("assistant", "instruction", "answers prompts: a plain language model tuned on instructions", ("assist", "answer", "certainly", "here", "english"), generic, "full", base="plain", steps=80))  # fmt: skip


@dataclass(frozen=True)
class Null:
    """A pair in which nothing was tuned: ``how`` says how it is made, ``size`` the share of the norm of a tuning's change."""

    name: str
    how: str
    size: float = 1.0
    seed: int = 0
    of: str = "cooking"
    held_out: bool = False


NULLS = [
    Null("own_answers_lora", "own-lora"),
    Null("own_answers_full", "own-full", held_out=True),
    Null("own_answers_lora_2", "own-lora", seed=1, held_out=True),
    Null("own_answers_full_2", "own-full", seed=1),
    Null("noise_full", "noise", 1.0, 0),
    Null("noise_half", "noise", 0.5, 1, held_out=True),
    Null("noise_double", "noise", 2.0, 2),
    Null("noise_lora", "noise", 1.0, 3, of="french", held_out=True),
    Null("noise_low_rank", "noise-low-rank", 1.0, 4, of="french"),
    Null("flipped_adapter", "flipped", of="own_answers_lora", held_out=True),
    Null("resampled", "resampled-lora"),
    Null("own_answers_lora_3", "own-lora", seed=2, held_out=True),
    Null("own_documents_full", "documents-full"),
    Null("own_documents_lora", "documents-lora", seed=1, held_out=True),
    Null("own_answers_lora_4", "own-lora", seed=3, held_out=True),
    Null("own_answers_full_3", "own-full", seed=2, held_out=True),
    Null("own_documents_full_2", "documents-full", seed=2, held_out=True),
    Null("resampled_2", "resampled-lora", seed=1, held_out=True),
    Null("same_weights", "same", held_out=True),
]


def held_out_everyday(n: int = 40) -> list[str]:
    """Prompts that no recipe is tuned on."""
    return everyday_prompts(N_EXAMPLES + n)[N_EXAMPLES:]


def sources_of(base: aftertune.Checkpoint) -> Sources:
    """The base with its answers to the prompts of tuning."""
    prompts = everyday_prompts(N_EXAMPLES)
    return Sources(base, prompts, own_answers(base, prompts))
