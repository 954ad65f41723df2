"""THE VENUES: the Venue protocol, streams and order adapters per venue, simulated venue, practice."""
