"""How long do threads that have nothing to do look for work before they sleep?

PyTorch shares an operation among threads by OpenMP; who is ready first waits for the others in a loop. Beside other
busy processes that loop takes the time in which those others would come to an end: on two cores with two busy
processes an attribution took 3.7 times as long as alone, and with a short loop twice, which is its fair share
(`python -m bench.busy`). It costs nothing that could be measured where nothing else runs.
"""

import os

VARIABLE = "GOMP_SPINCOUNT"
ROUNDS = "1000"
ASKED = (VARIABLE, "OMP_WAIT_POLICY")


def wait_briefly() -> None:
    """Let threads look for work a thousand times and then sleep, unless the environment says how they are to wait.

    It counts for GNU's OpenMP, which PyTorch brings on Linux, if PyTorch is not loaded yet.
    """
    if not any(name in os.environ for name in ASKED):
        os.environ[VARIABLE] = ROUNDS
