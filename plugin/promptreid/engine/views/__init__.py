"""What of a training is worth looking at, as numbers and pictures; nothing here writes."""
