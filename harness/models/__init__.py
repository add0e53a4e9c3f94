"""Base models: loading, hardware, fingerprints; shared by engine and training."""
