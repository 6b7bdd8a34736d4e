from hypothesis import settings

# A busy machine is no failure: no example has a time limit.
settings.register_profile('unhurried', deadline=None)
settings.load_profile('unhurried')
