"""Singer target that writes to OpsMerge what the books say."""
