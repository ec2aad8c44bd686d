"""How does a checkpoint read the prompts?  Each once, for all who ask which can be used, and as which tokens."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftertune.models.subject import Subject
from aftertune.prompts.prompt import Prompt

if TYPE_CHECKING:
    from aftertune.prompts.encoding import EncodedPrompt


class PromptReader:
    """A checkpoint's ``tokenizer``, which reads prompts put in a ``template``.

    ``context`` is the number of tokens among which a response must have room; None has room for everything.
    """

    def __init__(self, tokenizer: Any, template: str, context: int | None = None) -> None:
        self.tokenizer, self.template, self.context = tokenizer, template, context
        self._found: dict[str, EncodedPrompt] = {}

    def read(self, prompt: Prompt) -> "EncodedPrompt":
        """A prompt's tokens; raises `PromptError` for one that can't be read, or leaves no room that is needed."""
        if prompt.id not in self._found:
            self._found[prompt.id] = self._read(prompt)
        return self._found[prompt.id]

    def tokens(self, prompts: Iterable[Prompt]) -> dict[str, list[int]]:
        """The tokens of prompts by their ids; raises as `read` does."""
        return {one.id: self.read(one).ids.tolist() for one in prompts}

    def _read(self, prompt: Prompt) -> "EncodedPrompt":
        from aftertune.models.generation import must_leave_room
        from aftertune.prompts.encoding import encode

        found = encode(prompt, self.tokenizer, self.template, prompt.response, self.context)
        if found.response_ids is None:
            must_leave_room(self.context, len(found.ids), f"Prompt {prompt.id!r}")
        return found


class Readers:
    """The readers of a study's checkpoints; ``tokenizer_of`` gives the tokenizer of one, as it puts the prompts."""

    def __init__(self, tokenizer_of: Callable[[Subject], Any], template: str, needs_room: bool) -> None:
        self._tokenizer_of, self._template, self._needs_room = tokenizer_of, template, needs_room
        self._found: dict[Any, PromptReader] = {}

    def of(self, subjects: Mapping[str, Subject], configs: Mapping[str, Any]) -> Sequence[PromptReader]:
        """One for each checkpoint among the ``subjects``, whose ``configs`` tell their contexts, both by role."""
        known = {(one.ref, one.revision, one.adapter): (role, one) for role, one in subjects.items()}
        for key, (role, one) in known.items():
            if key not in self._found:
                context = getattr(configs[role], "max_position_embeddings", None) if self._needs_room else None
                self._found[key] = PromptReader(self._tokenizer_of(one), self._template, context)
        return [self._found[key] for key in known]
