"""Losses for multi-modal re-identification: plain tensors in, tensors out."""
