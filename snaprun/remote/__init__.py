"""What other machines call here: the far side of a run over ssh, and the node side of a Slurm job."""
