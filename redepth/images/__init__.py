"""Collections of photographs: what is there (`collection`) and what is in a file (`decode`)."""
