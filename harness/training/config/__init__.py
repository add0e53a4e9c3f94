"""What a study says of a training: method, objective, settings, search space."""
