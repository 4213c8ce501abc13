"""Judging labels: against measured truth, and one set of labels against another."""
