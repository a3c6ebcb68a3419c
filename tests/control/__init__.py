"""The positive control: the campaigns' checker, pointed at a release with known faults, must see them."""
