"""What MIP and DMPT are compared with."""
