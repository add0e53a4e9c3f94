"""One study, from its file to its report; `harness.pipeline.run` joins the steps.

``run``, ``plan`` and ``train`` need the training libraries; ``conclude``, ``scored_run`` and most
of ``finished`` follow a run and import none of them.
"""
