"""Tables of trainings: which rows there are, how they are run, what they cost, how they are written."""
