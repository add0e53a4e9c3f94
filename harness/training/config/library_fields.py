"""Fields of PEFT's and TRL's configurations, read from their source without importing them.

Importing either loads torch, which takes seconds; a study is checked before that.
"""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from harness.extras import require


@cache
def declared(library: str, file: str, name: str) -> dict[str, str]:
    """Return the fields of a dataclass in an installed library: field name -> annotation.

    Fields of its parents are included where these stand in the same file.

    Raises:
        MissingExtraError: If the library is not installed.
    """
    require("train")
    found = find_spec(library)
    assert found is not None
    assert found.origin is not None
    source = (Path(found.origin).parent / file).read_text(encoding="utf-8")
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    return _with_parents(name, classes)


def _with_parents(name: str, classes: dict[str, ast.ClassDef]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for parent in classes[name].bases:
        if isinstance(parent, ast.Name) and parent.id in classes:
            fields |= _with_parents(parent.id, classes)
    for line in classes[name].body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            fields[line.target.id] = ast.unparse(line.annotation)
    return fields


def training_fields(config: str, source: str) -> dict[str, str]:
    """Return every argument of one of TRL's configurations: name -> annotation."""
    fields = {
        **declared("transformers", "training_args.py", "TrainingArguments"),
        **declared("trl", "trainer/base_config.py", "_BaseConfig"),
        **declared("trl", source, config),
    }
    return {name: kind for name, kind in fields.items() if not name.startswith("_")}


def peft_fields(config: str, source: str) -> dict[str, str]:
    """Return every setting of one of PEFT's configurations: name -> annotation."""
    shared = declared("peft", "config.py", "PromptLearningConfig")
    general = declared("peft", "config.py", "PeftConfig")
    own = declared("peft", source, config)
    prompt_learning = source.split("/")[1] in {"prompt_tuning", "p_tuning", "prefix_tuning"}
    return {**(shared if prompt_learning else general), **own}
