"""Retrieval with a trained model: embedding, searching, compressing and exporting."""
