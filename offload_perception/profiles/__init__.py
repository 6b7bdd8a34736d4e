"""Device profiles: what each prefix of a network costs on a computer."""
