"""Suites: tasks and rows become items and token ids, and answers become scored samples."""
