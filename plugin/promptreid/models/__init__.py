"""Prompt-tuned vision transformers for multi-modal re-identification: plain arguments and tensors in, tensors out."""
