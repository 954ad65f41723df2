"""THE LANGUAGE: messages, topics, the Bus protocol and its two carriers, codec, clock, ids."""
