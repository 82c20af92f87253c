"""Singer tap for OpsMerge, the billing system of UK managed-service providers."""
