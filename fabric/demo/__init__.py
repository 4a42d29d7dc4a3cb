"""The main story on real input: handwritten digits and SqueezeNet."""
