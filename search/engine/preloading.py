"""Imports, when it is imported, every file that a search may ask for by name.

For processes that wait for work: else the first trial of each would take a tenth of a second more.
"""

from __future__ import annotations

import models.proxies
import models.simple
import models.supernets
import models.training.metrics
import models.training.pretexts
import search.engine.stage
import search.trial_kind
from search.plugins import pluggable

for _registry in (
    *pluggable(),
    models.proxies.proxies,
    models.simple.simple_models,
    models.supernets.supernets,
    models.training.metrics.scores,
    models.training.pretexts.pretexts,
    search.engine.stage.stages,
    search.trial_kind.trial_kinds,
):
    _registry.discover()
