"""How do property tests run here?

Without a deadline: on a busy machine a pause is no failure.
"""

from hypothesis import settings

settings.register_profile("comind", deadline=None)
settings.load_profile("comind")
