"""What is said before a comparison begins, and the forecast that goes with it while it runs."""

from collections.abc import Sequence

from aftertune.models.machine import measure_machine
from aftertune.study.expected.estimate import estimate
from aftertune.study.expected.forecast import Forecast
from aftertune.study.expected.intent import Intent
from aftertune.study.expected.told import tell


def prepare(intent: Intent, skipped: Sequence[str] = ()) -> tuple[str, Forecast]:
    """The block that tells what was chosen and what it takes, and the forecast; measures the machine for 0.2 s.

    Raises `CheckpointError` if the device or type that was asked for can't be used.
    """
    found = estimate(intent, measure_machine(intent.device, intent.dtype))
    return tell(intent, found, skipped), Forecast(found.expected, found.already)
