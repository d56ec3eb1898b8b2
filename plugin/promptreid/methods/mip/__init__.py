"""MIP (ICMR 2024): visible-infrared person re-identification with modality and instance prompts."""
