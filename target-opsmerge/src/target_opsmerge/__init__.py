"""Singer target that records in OpsMerge what the books say."""
