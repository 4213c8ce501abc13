"""The lab: does refining help, and what of the method is it that helps. Method: docs/lab.md."""
