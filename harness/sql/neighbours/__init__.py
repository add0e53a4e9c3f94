"""Neighbour databases: small changed copies on which equal answers must stay equal."""
