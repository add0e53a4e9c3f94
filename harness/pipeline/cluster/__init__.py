"""A study on a Ray cluster: nodes train and answer parts of it, one process plans and concludes."""
