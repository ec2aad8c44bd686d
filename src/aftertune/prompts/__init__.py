"""Data in: data sets and chat templates -> token ids with the user's text, instruction spans and ratings."""

from aftertune.prompts.encoding import EncodedPrompt, encode, show_tokens
from aftertune.prompts.formats import read_prompts
from aftertune.prompts.prompt import Message, Prompt

__all__ = ["EncodedPrompt", "Message", "Prompt", "encode", "read_prompts", "show_tokens"]
