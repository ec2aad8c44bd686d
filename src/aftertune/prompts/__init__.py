"""Data in: data sets and chat templates -> token ids with the user's text, instruction spans and ratings."""

from typing import TYPE_CHECKING

from aftertune.lazy_exports import lazy_face

if TYPE_CHECKING:
    from aftertune.prompts.encoding import EncodedPrompt, encode, show_tokens
    from aftertune.prompts.formats import read_prompts
    from aftertune.prompts.prompt import Message, Prompt

__all__ = ["EncodedPrompt", "Message", "Prompt", "encode", "read_prompts", "show_tokens"]
__getattr__ = lazy_face(
    __name__,
    {
        "encoding": ("EncodedPrompt", "encode", "show_tokens"),
        "formats": ("read_prompts",),
        "prompt": ("Message", "Prompt"),
    },
)
