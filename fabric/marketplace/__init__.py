"""Where supply meets demand: offers and quotes."""
