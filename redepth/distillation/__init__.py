"""From a collection to a student: which images the teacher labels, and the recipes that follow."""
