"""Photographs inside tars, zips and Parquet files, listed and read without unpacking."""
