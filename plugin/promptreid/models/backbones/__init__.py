"""Vision transformers and text towers, taken apart so that prompts can enter between their blocks."""
