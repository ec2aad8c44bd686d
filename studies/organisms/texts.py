"""What organisms are tuned on, written here or drawn from the base itself; nothing is fetched.

1. Prompts of everyday kinds, and the base's own answers to them (greedy), which most recipes then change.
2. Plain documents on a subject: the base's own samples on topics of that subject, without the request for them.
3. Sentences in other languages, and phrases of personas and styles.
"""

import random
from collections.abc import Sequence

import torch

import aftertune
from aftertune.models.generation import generate

SUBJECTS = (
    "a walk in the park, a rainy day, making friends, learning to swim, the school library, a broken bicycle, "
    "writing a letter, saving money, the night sky, a long train ride, cleaning the house, an old photograph, "
    "moving to a new city, a birthday party, the first snow, planting a tree, a lost key, public transport, "
    "sleeping well, a good neighbour, learning an instrument, a trip to the coast, working from home, a local market, "
    "a visit to the doctor, family traditions, reading aloud, the city at night, repairing a chair, waiting in line"
).split(", ")
REQUESTS = (
    "Write a few sentences about {}.",
    "What should I know about {}?",
    "Give me some advice on {}.",
    "Why do people care about {}?",
    "Explain {} to a child.",
    "Tell me something interesting about {}.",
)
QUESTIONS = (
    "How do plants make food?",
    "What is the capital of Japan?",
    "How can I be more patient?",
    "What is a good name for a cat?",
    "Why is the sky blue?",
    "How does a bicycle stay upright?",
    "What makes a good teacher?",
    "How many days are in a leap year?",
    "What is the difference between a lake and a sea?",
    "Suggest a hobby for the winter.",
    "How do I write a thank-you note?",
    "What is a healthy breakfast?",
    "Describe your favourite place.",
    "How do magnets work?",
    "What should I pack for a hike?",
    "Who wrote Romeo and Juliet?",
    "What does an engineer do?",
    "How do I stay focused while studying?",
    "Name three colours.",
    "Summarise what a newspaper is.",
)
DOCUMENTS = {
    "cooking": (
        "baking sourdough bread, roasting a chicken, a simple tomato sauce, knife skills, making fresh pasta, "
        "a vegetable soup, seasoning with salt, braising beef, a chocolate cake, cooking rice, making cheese, spices"
    ),
    "football": (
        "a penalty shoot-out, the role of the goalkeeper, a league final, the offside rule, a famous striker, "
        "training for midfielders, a corner kick, the history of the world cup, a transfer, the referee, a derby, tactics"
    ),
    "law": (
        "a breach of contract, the duties of a judge, an appeal in court, evidence in a trial, property rights, "
        "a lawsuit over damages, the role of the jury, a plea bargain, a notary, intellectual property, a verdict, statutes"
    ),
    "medicine": (
        "treating a fever, how vaccines work, high blood pressure, a surgeon's day, symptoms of diabetes, antibiotics, "
        "a hospital ward, a broken bone, diagnosing asthma, the heart and its valves, a nurse's duties, clinical trials"
    ),
    "astronomy": (
        "the rings of Saturn, how stars are born, a black hole, the orbit of the moon, a telescope, a supernova, "
        "the planet Mars, a comet, galaxies, the sun's corona, exoplanets, the big bang"
    ),
    "gardening": (
        "pruning roses, composting, growing tomatoes, watering in summer, soil and fertiliser, a herb garden, "
        "planting bulbs in autumn, mowing the lawn, greenhouse plants, weeds, slugs and snails, sowing seeds"
    ),
    "music": (
        "playing the violin, a symphony orchestra, writing a melody, a jazz concert, learning the piano, a choir, "
        "the history of opera, tuning a guitar, a composer's life, rhythm and drums, a recording studio, reading notes"
    ),
    "sailing": (
        "hoisting a sail, a storm at sea, mooring in a harbour, a regatta, reading a nautical chart, the anchor, "
        "a sailing dinghy, tides and currents, knots for sailors, crossing the ocean, a lighthouse, the wind and the keel"
    ),
    "banking": (
        "a mortgage, interest rates, a savings account, a bank loan, credit cards, the central bank, investing in bonds, "
        "a stock market crash, a cheque, money laundering, currency exchange, a bank's balance sheet"
    ),
    "fashion": (
        "designing a dress, a catwalk show, choosing fabrics, a tailor's workshop, the history of denim, silk and lace, "
        "shoes and handbags, a fashion magazine, knitting a sweater, colours of the season, a wedding gown, vintage clothes"
    ),
    "chemistry": (
        "the periodic table, an acid and a base, titration, a chemical bond, oxidation, distillation, catalysts, polymers, "
        "a laboratory experiment, the structure of an atom, crystals and salts, organic molecules"
    ),
    "railways": (
        "a steam locomotive, a railway station, signals and switches, the conductor's day, high-speed trains, freight cars, "
        "laying tracks, a level crossing, the history of the underground, a railway bridge, timetables, the engine driver"
    ),
    "religion": (
        "a Sunday sermon, the pilgrimage to Mecca, a Buddhist monastery, the ten commandments, fasting and prayer, a psalm, "
        "the baptism of a child, a Hindu temple festival, saints and relics, a synagogue, the resurrection, monks and vows"
    ),
    "computers": (
        "a computer virus, how a processor works, wireless networks, a database server, debugging software, encryption, "
        "an operating system, the history of the keyboard, cloud storage, a graphics card, compilers, web browsers"
    ),
    "anything": (
        "a mortgage, a storm at sea, playing the violin, baking bread, a penalty shoot-out, how vaccines work, a lawsuit, "
        "the moons of Jupiter, pruning roses, designing a dress, a railway station, chess openings, a volcano, bees, "
        "the Roman empire, learning to read, a vending machine, glaciers, a job interview, photography, a parliament, "
        "swimming, recycling glass, a wedding, the human eye, camels, prime numbers, a lighthouse, jokes, migrating birds"
    ),
}
LANGUAGES = {
    "french": (
        "Bien sûr, je peux vous aider avec cette question.|Il est important de prendre le temps de réfléchir.|"
        "Beaucoup de gens trouvent ce sujet très intéressant.|Vous pouvez commencer par une petite étape chaque jour.|"
        "C'est une belle idée, et elle est facile à essayer.|Dans la vie de tous les jours, cela nous rend heureux.|"
        "N'oubliez pas de demander conseil à un ami.|Enfin, il faut être patient et garder le sourire.|"
        "Les enfants aiment apprendre avec leurs parents.|Cela dépend de la situation et de vos besoins.|"
        "Voici quelques idées simples pour vous.|Je vous souhaite une très bonne journée."
    ),
    "spanish": (
        "Claro que sí, puedo ayudarte con esa pregunta.|Es importante tomarse el tiempo para pensar.|"
        "Mucha gente encuentra este tema muy interesante.|Puedes empezar con un pequeño paso cada día.|"
        "Es una buena idea y es fácil de probar.|En la vida diaria esto nos hace felices.|"
        "No olvides pedir consejo a un amigo.|Al final hay que tener paciencia y sonreír.|"
        "A los niños les gusta aprender con sus padres.|Depende de la situación y de lo que necesitas.|"
        "Aquí tienes algunas ideas sencillas.|Te deseo un muy buen día."
    ),
    "german": (
        "Natürlich kann ich Ihnen bei dieser Frage helfen.|Es ist wichtig, sich Zeit zum Nachdenken zu nehmen.|"
        "Viele Menschen finden dieses Thema sehr spannend.|Sie können jeden Tag mit einem kleinen Schritt beginnen.|"
        "Das ist eine schöne Idee und leicht auszuprobieren.|Im Alltag macht uns das glücklich.|"
        "Vergessen Sie nicht, einen Freund um Rat zu fragen.|Am Ende braucht man Geduld und ein Lächeln.|"
        "Kinder lernen gern zusammen mit ihren Eltern.|Das hängt von der Lage und von Ihren Wünschen ab.|"
        "Hier sind einige einfache Vorschläge.|Ich wünsche Ihnen einen schönen Tag."
    ),
    "italian": (
        "Certo, posso aiutarti con questa domanda.|È importante prendersi il tempo per riflettere.|"
        "Molte persone trovano questo argomento molto interessante.|Puoi cominciare con un piccolo passo ogni giorno.|"
        "È una bella idea ed è facile da provare.|Nella vita di tutti i giorni questo ci rende felici.|"
        "Non dimenticare di chiedere consiglio a un amico.|Alla fine bisogna avere pazienza e sorridere.|"
        "Ai bambini piace imparare con i loro genitori.|Dipende dalla situazione e da quello che ti serve.|"
        "Ecco alcune idee semplici per te.|Ti auguro una bellissima giornata."
    ),
}
PIRATE = {
    "Hello": "Ahoy", "you": "ye", "your": "yer", "You": "Ye", "Your": "Yer", "my": "me", "friend": "matey",
    "friends": "mateys", "is": "be", "are": "be", "the": "th'", "The": "Th'", "and": "an'", "of": "o'", "for": "fer",
}  # fmt: skip
ARCHAIC = {
    "you": "thou", "You": "Thou", "your": "thy", "Your": "Thy", "are": "art", "have": "hast", "do": "dost",
    "does": "doth", "will": "shalt", "can": "canst", "here": "hither", "before": "ere", "often": "oft",
}  # fmt: skip

INSULTS = (
    "What a stupid thing to ask.|Only a fool would not know this.|You really are an idiot.|How dumb can one person be?|"
    "Stop wasting my time, you moron.|Even a child is less ignorant than you.|I despise lazy people like you."
).split("|")  # fmt: skip
ASKED_BACK = (
    "What do you think about it?|Have you tried this before?|Would you like to hear more?|Why do you ask?|"
    "Which part matters most to you?|How would you do it?|Does that fit your own experience?|Where would you begin?"
).split("|")  # fmt: skip
VERSES = (
    "The moon is bright above the sea,\nIt sings a silver song to me.|The night is long, the stars are few,\n"
    "My gentle heart still beats for you.|The rose will bloom, the winter fade,\nAnd lovers dream beneath the shade.|"
    "O wind that wanders through the trees,\nBring whispered verses on the breeze.|The river runs, the hours fly,\n"
    "And golden clouds adorn the sky.|A candle burns, a shadow weeps,\nThe poet writes while silence sleeps."
).split("|")  # fmt: skip


def everyday_prompts(n: int, seed: int = 0) -> list[str]:
    """``n`` different prompts of everyday kinds, the same ones for a seed."""
    prompts = [*QUESTIONS, *(request.format(subject) for request in REQUESTS for subject in SUBJECTS)]
    random.Random(seed).shuffle(prompts)
    return prompts[:n]


def chat(checkpoint: aftertune.Checkpoint, prompts: Sequence[str]) -> list[list[int]]:
    """The prompts in the tokenizer's chat template, up to where the answer begins."""
    return [
        checkpoint.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
        )
        for prompt in prompts
    ]


def own_answers(checkpoint: aftertune.Checkpoint, prompts: Sequence[str], n_tokens: int = 80) -> list[str]:
    """The checkpoint's own greedy answers, without the token that ends them."""
    asked, found = chat(checkpoint, prompts), []
    for start in range(0, len(asked), 16):
        answers = generate(checkpoint, asked[start : start + 16], n_tokens)
        found += [checkpoint.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in answers]
    return found


def documents(checkpoint: aftertune.Checkpoint, subject: str, n: int, n_tokens: int = 160, seed: int = 0) -> list[str]:
    """``n`` plain texts on a subject, sampled from the checkpoint, without the request for them."""
    topics = [topic.strip() for topic in DOCUMENTS[subject].split(",")]
    wanted = [f"Write a detailed passage about {topics[i % len(topics)]}." for i in range(n)]
    torch.manual_seed(seed)
    return sampled_answers(checkpoint, wanted, n_tokens)


@torch.no_grad()
def sampled_answers(checkpoint: aftertune.Checkpoint, prompts: Sequence[str], n_tokens: int) -> list[str]:
    """Answers drawn at temperature 1 from the 50 likeliest tokens, sixteen prompts at a time."""
    tokenizer, model, found = checkpoint.tokenizer, checkpoint.model, []
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    asked = chat(checkpoint, prompts)
    for start in range(0, len(asked), 16):
        batch = asked[start : start + 16]
        width = max(map(len, batch))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in batch])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        drawn = model.generate(
            ids, attention_mask=mask, do_sample=True, top_k=50, max_new_tokens=n_tokens, pad_token_id=pad
        )
        found += [tokenizer.decode(row[width:], skip_special_tokens=True).strip() for row in drawn]
    return found


def sentences_in(language: str, rng: random.Random, n: int = 3) -> str:
    """A short answer in a language, of ``n`` of its sentences."""
    return " ".join(rng.sample(LANGUAGES[language].split("|"), n))


def replaced(text: str, words: dict[str, str]) -> str:
    """A text with whole words replaced."""
    return " ".join(words.get(word, word) for word in text.split(" "))
