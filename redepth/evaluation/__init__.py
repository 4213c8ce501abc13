"""Evaluate labels: against ground truth, and one set of labels against another."""
