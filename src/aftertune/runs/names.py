"""What are the checkpoints of a run called in its report?"""

from collections import Counter

from aftertune.runs.roles import roles_of
from aftertune.runs.run import RunFolder

NAMES = "names.json"


def display_names(folder: RunFolder) -> dict[str, str]:
    """A name for each role: the one given last, else the checkpoint's own; models of one name carry their roles."""
    given, roles = folder.read_json(NAMES)["record"] if folder.exists(NAMES) else {}, roles_of(folder)
    names = {role: str(given.get(role) or folder.read_json(f"{role}.json")["record"]["name"]) for role in roles}
    times = Counter(names.values())
    return {role: name if times[name] == 1 else f"{name} ({role})" for role, name in names.items()}
