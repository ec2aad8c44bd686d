"""How are both models' answers shown, token by token?"""

from aftertune.explainers.outputs.change import OutputChange, TokenRow
from aftertune.runs.readable import visible

FULL_SHADE = 3.0  # nats: twenty times as likely
N_SHADES = 5


def answers_html(change: OutputChange) -> list[dict[str, object]]:
    """What the page shows of each answer: its prompt and both texts, each token with its shade and what it says."""
    return [
        {
            "id": one.id,
            "prompt": one.prompt,
            "same": one.parts_at is None,
            "sides": [
                (name, _shaded(own, one.parts_at)) for name, own in ((change.base, one.base), (change.tuned, one.tuned))
            ],
        }
        for one in sorted(change.answers, key=lambda row: -(row.log_ratio or 0.0))
    ]


def _shaded(tokens: tuple[TokenRow, ...], parts_at: int | None) -> list[dict[str, object]]:
    """Each token with its shade, -5 (likelier in the base) to 5 (likelier in the tuned)."""
    return [
        {
            "text": visible(one.token),
            "shade": shade_of(one.log_ratio),
            "says": f"log-ratio {one.log_ratio:+.2f}, KL {one.kl:.2f}",
            "parts": place == parts_at,
        }
        for place, one in enumerate(tokens)
    ]


def shade_of(log_ratio: float) -> int:
    """The shade of a log-ratio in nats: 0 below a tenth of the full one, which is reached at three nats."""
    return max(-N_SHADES, min(N_SHADES, round(N_SHADES * log_ratio / FULL_SHADE)))
