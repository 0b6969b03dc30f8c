"""A Futu OpenD that needs no Futu: the real protocol, paper rules, a market and named faults."""
