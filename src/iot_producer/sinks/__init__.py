"""Destinations: each takes blocks, chooses the encoding, and gives receipts."""
