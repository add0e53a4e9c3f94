"""What a bar says of the time that is left."""

from io import StringIO

from rich.console import Console

from harness.cli.console import bars


def test_slow_steps_have_a_time_that_is_left() -> None:
    """It is told where one step takes longer than rich looks back by itself (30 seconds)."""
    clock = [0.0]
    console = Console(file=StringIO(), force_terminal=True, width=120, get_time=lambda: clock[0])
    progress = bars(console)
    bar = progress.add_task("train mine", total=100, note="")
    for done in range(1, 11):
        clock[0] = 60.0 * done
        progress.update(bar, completed=done)
    assert progress.tasks[0].time_remaining == 90 * 60
    clock[0] += 5
    console.print(progress.make_tasks_table(progress.tasks))
    assert "1:30:00" in console.file.getvalue()  # type: ignore[attr-defined]


def test_steps_of_an_earlier_run_are_not_counted_as_speed() -> None:
    """A training that resumes at step 50 is judged by the steps that it makes now."""
    clock = [0.0]
    progress = bars(Console(file=StringIO(), get_time=lambda: clock[0]))
    bar = progress.add_task("train mine", total=100, note="")
    for done in (51, 52, 53):
        clock[0] += 10
        progress.update(bar, completed=done)
    assert progress.tasks[0].time_remaining == 470
