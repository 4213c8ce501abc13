"""Train the small models on rendered scenes: how the weights under redepth/models were made."""
