"""What a run is told to: the interface, those built in, and where others are added."""
