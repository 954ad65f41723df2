"""The proof: real agents, engine, gate, ledger and journal in virtual time, against a model that knows the truth."""
