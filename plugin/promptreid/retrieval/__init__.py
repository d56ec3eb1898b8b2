"""What is done with the features of a trained model."""
