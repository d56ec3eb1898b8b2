"""What is made of the shared parts: a room for each method."""
