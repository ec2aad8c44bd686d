"""How is a command shown, so that what is copied works?  A line ends between two options, never within one."""

import shlex

CONTINUED = " \\\n    "


def parts_of(command: str) -> list[str]:
    """The words of a command, ready for a shell; an option stands with its values."""
    found: list[str] = []
    for word in shlex.split(command):
        if found and found[-1].startswith("--") and not word.startswith("--"):
            found[-1] += f" {shlex.quote(word)}"
        else:
            found.append(shlex.quote(word))
    return found


def in_lines(command: str, width: int) -> str:
    """The command in lines of at most ``width`` characters that a shell reads as one; a longer option stays whole."""
    lines = [""]
    for part in parts_of(command):
        longer = f"{lines[-1]} {part}".strip()
        if lines[-1] and len(longer) + len(CONTINUED) > width:
            lines.append(part)
        else:
            lines[-1] = longer
    return CONTINUED.join(lines)
