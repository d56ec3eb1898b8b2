"""DMPT (WACV 2025): a frozen CLIP tuned by prompts for triples of RGB, near and thermal infrared."""
