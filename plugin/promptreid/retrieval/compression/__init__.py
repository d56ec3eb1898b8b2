"""Smaller descriptors: projection to fewer numbers, then fewer bytes a number."""
