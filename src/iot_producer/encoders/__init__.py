"""Blocks of records as bytes or columns."""
