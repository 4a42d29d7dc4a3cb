"""What a provider's machine may say to the control node: everything it sends passes here, and little is let through."""
