"""YAML whose mappings hold each key once: PyYAML lets the last of two win, without a word."""

import yaml


class StrictLoader(yaml.SafeLoader):
    """Reads plain YAML; a key that stands twice in one mapping is an error with both lines."""

    def compose_mapping_node(self, anchor: object) -> yaml.MappingNode:
        """Check a mapping as it is written, before the keys of ``<<`` are merged among its own."""
        node = super().compose_mapping_node(anchor)  # type: ignore[arg-type]  # a name or None
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = (key.tag, key.value)
            if name in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"a key may stand once: {key.value!r} is in line {lines[name]} already",
                    problem_mark=key.start_mark,
                )
            lines[name] = key.start_mark.line + 1
        return node
