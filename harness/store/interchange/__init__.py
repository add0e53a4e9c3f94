"""A run's scores in the formats of other tools; each is a pure function of what was answered."""
