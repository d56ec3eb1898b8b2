"""Exact rankings of a gallery, and what changes them."""
