"""An output: what is written, when it counts, and how it is read back; format version 2."""
