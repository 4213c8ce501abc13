"""What a label knows of its own error: cues, the confidence fitted to them, and intervals.

Of arrays and settings alone: labelling stores what is computed here, the reader of an output
computes it anew with another calibration, and `redepth calibrate` fits it (docs/confidence.md).
"""
