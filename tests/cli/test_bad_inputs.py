"""Bad inputs of every kind: one sentence, a documented exit code, nothing half-written, no hang."""

import pytest
from support.bad_inputs import KINDS, Workshop

SEED = 0


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Return valid files of every kind, of which each case spoils a copy."""
    return Workshop(tmp_path_factory.mktemp("workshop"))


def faults(workshop: Workshop, numbers: range, *, real: bool = False) -> list[str]:
    """Return what the commands of these cases did that none may do."""
    found = []
    for number in numbers:
        case, draw = workshop.case(SEED, number)
        outcome = workshop.carry_out(case, draw, real=real)
        if outcome.faults:
            found.append(f"case {number}, {' '.join(case.words)}: {outcome.faults}: {outcome.said}")
    return found


@pytest.mark.model
def test_bad_inputs_do_no_harm(workshop: Workshop) -> None:
    """60 cases of all kinds: no traceback, no hang, no undocumented exit code, no half file."""
    assert 2 * len(KINDS) < 60
    assert not faults(workshop, range(60))


@pytest.mark.model
@pytest.mark.nightly
def test_many_bad_inputs_do_no_harm(workshop: Workshop) -> None:
    """1,150 further cases, as `tests/bench/bad_inputs.py` draws them."""
    assert not faults(workshop, range(60, 1210))


@pytest.mark.model
@pytest.mark.nightly
def test_bad_inputs_do_no_harm_to_commands_of_their_own(workshop: Workshop) -> None:
    """30 cases as a user types them."""
    assert not faults(workshop, range(1210, 1240), real=True)
