"""OAuth 2.0: consent page, codes, tokens that rotate and die, revocation, discovery."""
