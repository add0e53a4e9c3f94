"""float32's verdicts from a first pass in bf16: see `engine`."""
