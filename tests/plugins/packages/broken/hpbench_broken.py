"""Imports what is nowhere."""

import a_module_that_is_nowhere

Shattered = a_module_that_is_nowhere.Shattered
