"""Writing behind: in order, one at a time, and no error lost."""

import threading

import pytest

from aftertune.runs.layer_parts import written_behind


def test_a_write_goes_on_while_the_next_thing_is_computed() -> None:
    computed, written = threading.Event(), []

    def first() -> None:
        assert computed.wait(10)  # it would wait for ever if the next thing were computed after it
        written.append("first")

    with written_behind() as write:
        write(first)
        computed.set()
        write(lambda: written.append("second"))
    assert written == ["first", "second"]


def test_only_one_write_is_under_way() -> None:
    running, most = [], []

    def one() -> None:
        running.append(1)
        most.append(len(running))
        running.pop()

    with written_behind() as write:
        for _ in range(50):
            write(one)
    assert most == [1] * 50


def test_what_a_write_raises_comes_at_the_next_one_or_at_the_end() -> None:
    def failing() -> None:
        raise OSError("full")

    started = []
    with pytest.raises(OSError, match="full"), written_behind() as write:
        write(failing)
        write(lambda: started.append(1))
    assert started == []
    with pytest.raises(OSError, match="full"), written_behind() as write:
        write(failing)


def test_a_write_that_has_begun_is_ended_before_what_interrupts_goes_on() -> None:
    written = []
    with pytest.raises(KeyboardInterrupt), written_behind() as write:
        write(lambda: written.append(1))
        raise KeyboardInterrupt
    assert written == [1]
