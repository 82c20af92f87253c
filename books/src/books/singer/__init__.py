"""All that the library knows of Singer: how plugins end, what taps say at the end of a stream, the posting sink."""
