"""What a result is worth: chance, intervals, comparisons, error rates."""
