"""Other inference engines, run in this process on the study's own weights: vLLM for generation."""
