"""The forms in which candidates are served: merged, in 4 or 8 bits, or made elsewhere.

A form reads the same token ids as the candidate that it is a form of, so both are compared with the
base, and with each other item by item. Forms that are made here have no folder: one is in memory
at a time, and what is exported is made again by the same function.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.errors import ComparisonError, ModelError, StudyError
from harness.records import FORM_WORDS, Arm
from harness.study import BaseSection, CandidateSection, Study, form_arm

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


def check_forms(study: Study, *, until_decided: bool) -> None:
    """Refuse forms beside another engine's adapters, and early ends of what is loaded in turn.

    Raises:
        StudyError: Naming the candidate and its forms.
    """
    for candidate in study.candidates:
        if candidate.forms and (study.base.backend or study.base.elsewhere):
            raise StudyError(
                f"candidate {candidate.name!r} is scored as {', '.join(candidate.forms)} as well: "
                "forms are made and answered here, beside an adapter that answers alike; leave "
                "'backend' out of 'base', or 'as' (of a form that is served say 'form_of')"
            )
        if until_decided and candidate.forms:
            raise StudyError(
                f"candidate {candidate.name!r} is scored as {', '.join(candidate.forms)} as well: "
                "forms are loaded one after the other, so that no verdict can end early; leave "
                "--until-decided out"
            )


def check_form(
    candidate: CandidateSection, base: BaseSection, *, is_whole: bool, is_virtual: bool
) -> None:
    """Refuse a form that a candidate's weights cannot have on this machine, before any is trained.

    Raises:
        StudyError: Naming the candidate, the form and the remedy.
    """
    from harness.models.merged_form import refuse_form

    for form in candidate.forms:
        try:
            refuse_form(form, base, is_whole=is_whole, is_virtual=is_virtual)
        except ModelError as error:
            raise StudyError(f"candidate {candidate.name!r}, as {form}: {error}") from error


def check_same_prompts(
    candidate: CandidateSection, mine: Sequence["LoadedSuite"], theirs: Sequence["LoadedSuite"]
) -> None:
    """Refuse a form that was made elsewhere and reads other token ids than its candidate.

    Args:
        candidate: The form.
        mine: The suites as it reads them: by its own tokenizer and chat template, or by the base's
            where it is a GGUF file or a server.
        theirs: The same as the candidate reads them that it is a form of.

    Raises:
        ComparisonError: Naming the suite, and how many of its items differ.
    """
    for own, other in zip(mine, theirs, strict=True):
        ids = {item.key: item.prompt_hash for item in other.items}
        differ = [item for item in own.items if ids.get(item.key) != item.prompt_hash]
        if differ:
            remedy = (
                "make that one's base the study's, whose prompts a file or a server gets"
                if candidate.elsewhere
                else "put that one's tokenizer and chat template into its folder"
            )
            raise ComparisonError(
                f"a form of a candidate has to get the same prompts: {candidate.name!r} reads "
                f"{len(differ)} of {len(own.items)} items of suite {own.suite.name!r} as other "
                f"token ids than {candidate.form_of!r}; {remedy}, or leave 'form_of' out, so that "
                "they are not paired"
            )


def forms_of(candidate: CandidateSection, arm: Arm) -> Iterator[Arm]:
    """Yield the forms of a candidate's arm as arms: its weights, and what is made of them."""
    for form in candidate.forms:
        yield Arm(
            name=form_arm(arm.name, form),
            method=f"{arm.method}, {FORM_WORDS[form]}",
            note=f"the {FORM_WORDS[form]} model of {arm.name}",
            path=arm.path,
            weights_sha256=arm.weights_sha256,
            base=arm.base,
            form=form,
            form_of=arm.name,
        )
