"""Read and pair notebooks, set their parameters, and find what may run them."""
