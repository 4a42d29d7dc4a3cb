"""HTTP: parse, authorise, call one domain function, render. Nothing else."""
