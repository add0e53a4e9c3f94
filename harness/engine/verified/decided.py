"""Which suites are decided by a best choice or a text, so that bf16 may answer first."""

from harness.suites.load_suite import LoadedSuite

ACCURACIES = ("acc", "acc_norm", "acc_bytes")
"""lm-eval's metrics of a best choice: by log-likelihood, and by that per character or byte."""


def is_decided_by_best(loaded: LoadedSuite) -> bool:
    """Say whether a suite's verdicts depend on nothing but best choices or generated texts.

    Not so where a task scores log-likelihoods in its own way (``process_results``), by a metric
    other than lm-eval's accuracies, or per character of something other than the continuations.
    """
    from lm_eval.api.task import ConfigurableTask

    task = loaded.recipe.task
    if task.OUTPUT_TYPE == "generate_until":
        return True
    own = (
        type(task).process_results is not ConfigurableTask.process_results
        or callable(task.config.process_results)
        or loaded.suite.judge is not None
    )
    if own or task.OUTPUT_TYPE != "multiple_choice" or loaded.suite.metric not in ACCURACIES:
        return False
    choices = [choice for item in loaded.items for choice in task.doc_to_choice(item.doc)]
    scored = [request.continuation for request in loaded.requests]
    return choices in (scored, [text.strip() for text in scored])
