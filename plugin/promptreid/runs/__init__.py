"""From a configuration to a finished run, or to many."""
