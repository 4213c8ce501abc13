"""Labels in other people's formats: 16-bit PNG, NPY, EXR, WebDataset and Hugging Face Parquet."""
