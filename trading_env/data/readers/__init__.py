"""Readers: checked columns from DataFrames, CSV and Parquet files, and rows of numbers, in many sources' layouts."""
