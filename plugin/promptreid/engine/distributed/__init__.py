"""Several processes that train and test one model together."""
